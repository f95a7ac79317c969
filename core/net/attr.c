/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/net/lower.h"

const Onnx__AttributeProto *pd_attr(const struct pd_onnx_node *node, const char *name)
{
    for (size_t i = 0; i < node->proto->n_attribute; i++)
        if (node->proto->attribute[i]->name && !strcmp(node->proto->attribute[i]->name, name))
            return node->proto->attribute[i];
    return NULL;
}

int64_t pd_attr_int(const struct pd_onnx_node *node, const char *name, int64_t fallback)
{
    const Onnx__AttributeProto *a = pd_attr(node, name);
    return a && a->has_i ? a->i : fallback;
}

float pd_attr_float(const struct pd_onnx_node *node, const char *name, float fallback)
{
    const Onnx__AttributeProto *a = pd_attr(node, name);
    return a && a->has_f ? a->f : fallback;
}

bool pd_attr_is(const struct pd_onnx_node *node, const char *name, const char *fallback, const char *text)
{
    const Onnx__AttributeProto *a = pd_attr(node, name);
    if (!a || !a->has_s)
        return !strcmp(fallback, text);
    return a->s.len == strlen(text) && !memcmp(a->s.data, text, a->s.len);
}
