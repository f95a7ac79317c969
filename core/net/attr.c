/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/net/lower.h"

enum { TYPE_FLOAT = 1, TYPE_INT = 2 }; /* AttributeProto.type */

const Onnx__AttributeProto *pd_attr(const struct pd_onnx_node *node, const char *name)
{
    for (size_t i = 0; i < node->proto->n_attribute; i++)
        if (node->proto->attribute[i]->name && !strcmp(node->proto->attribute[i]->name, name))
            return node->proto->attribute[i];
    return NULL;
}

/* Writers that go by the format's proto3 leave zeros out: then the type says what is there. */
bool pd_attr_has_int(const Onnx__AttributeProto *attr)
{
    return attr->has_i || attr->type == TYPE_INT;
}

bool pd_attr_has_float(const Onnx__AttributeProto *attr)
{
    return attr->has_f || attr->type == TYPE_FLOAT;
}

int64_t pd_attr_int(const struct pd_onnx_node *node, const char *name, int64_t fallback)
{
    const Onnx__AttributeProto *a = pd_attr(node, name);
    return a && pd_attr_has_int(a) ? a->i : fallback;
}

float pd_attr_float(const struct pd_onnx_node *node, const char *name, float fallback)
{
    const Onnx__AttributeProto *a = pd_attr(node, name);
    return a && pd_attr_has_float(a) ? a->f : fallback;
}

bool pd_attr_is(const struct pd_onnx_node *node, const char *name, const char *fallback, const char *text)
{
    const Onnx__AttributeProto *a = pd_attr(node, name);
    if (!a || !a->has_s)
        return !strcmp(fallback, text);
    return a->s.len == strlen(text) && !memcmp(a->s.data, text, a->s.len);
}
