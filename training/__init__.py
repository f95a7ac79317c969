# SPDX-License-Identifier: Apache-2.0
"""Training of posed's networks: targets, views, distillation, export and evaluation. See README.md."""
