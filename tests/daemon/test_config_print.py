#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `posed check --print` makes of the option table agrees with itself and with the parser.

usage: test_config_print.py POSED"""
import json
import pathlib
import subprocess
import sys
import tempfile

try:
    import jsonschema
except ImportError:
    print("python3-jsonschema is not installed")
    sys.exit(77)

POSED = sys.argv[1]


def show(form, scope):
    command = [POSED, "check", "--print", form, "--scope", scope]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def check(folder):
    """Findings about the configuration files in @folder."""
    command = [POSED, "check", "--files", "--json", "--config", f"{folder}/posed.json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)["findings"]


def main():
    schemas, keys = {}, {}
    for scope in ("daemon", "camera"):
        schema = json.loads(show("schema", scope))
        jsonschema.Draft7Validator.check_schema(schema)
        schemas[scope] = jsonschema.Draft7Validator(schema)
        keys[scope] = [k for k in schema["properties"] if k != "$schema"]
        example = json.loads(show("example", scope))
        schemas[scope].validate(example)
        help_text, manual = show("help", scope), show("man", scope)
        assert [k for k in example if not k.startswith("//")] == keys[scope]
        for key in keys[scope]:
            assert f"// {key}" in example, f"{key} is not explained"
            assert f"  {key}: " in help_text, f"{key} is not in the help"
            assert f"\\fB{key}\\fP" in manual, f"{key} is not in the man page"
            if "default" in schema["properties"][key]:
                assert example[key] == schema["properties"][key]["default"], key

    # the example files load without a word, and what the parser refuses the schema refuses as well
    with tempfile.TemporaryDirectory() as folder:
        main_file, cameras = pathlib.Path(folder, "posed.json"), pathlib.Path(folder, "cameras.d")
        cameras.mkdir()
        main_file.write_text(show("example", "daemon"))
        (cameras / "entrance.json").write_text(show("example", "camera"))
        findings = check(folder)
        assert [f["level"] for f in findings] == ["ok"], findings

        mistakes = {
            "daemon": [{"sokcet": "/x"}, {"batch": 33}, {"batch": "4"}, {"engine": "tensorrt"}, {"socket_mode": 660},
                       {"socket_mode": "99"}, {"devices": [1, 1]}, {"devices": [64]}, {"socket": ""},
                       {"network": None}],
            "camera": [{}, {"url": "rtsp://u:p@h/"}, {"url": "x", "roi": [0, 0, 1]}, {"url": "x", "roi": [0, 0, 2, 1]},
                       {"url": "x", "mask": [[[0, 0], [1, 1]]]}, {"url": "x", "smooth": -1}, {"url": "x", "loop": 1},
                       {"url": "x", "mask": [[[0, 0], [1, 1], [1]]]}, {"url": None}, {"url": "x", "transport": "quic"}],
        }
        for scope, bad in mistakes.items():
            for text in bad:
                assert not schemas[scope].is_valid(text), f"the schema accepts {text}"
                main_file.write_text(json.dumps(text if scope == "daemon" else {}))
                (cameras / "entrance.json").write_text(json.dumps(text if scope == "camera" else {"url": "x"}))
                findings = check(folder)
                assert [f["level"] for f in findings] == ["fail"], (text, findings)


main()
