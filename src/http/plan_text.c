/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The limits that hold for a request, as people read them.
 */

#include "http/plan_text.h"

#include "apr_strings.h"

const char *rlx_plan_scope(apr_pool_t *p, const rlx_holding_t *holding)
{
    const rlx_rule_t *rule = holding->rule;

    switch (rule->kind) {
    case RLX_RULE_SHARED:
        return apr_pstrcat(p, "shared ", rule->options->scope->text, NULL);
    case RLX_RULE_APPLICATION:
        return "application";
    case RLX_RULE_META:
        return "meta";
    case RLX_RULE_FALLBACK:
        return "fallback";
    default:
        return holding->endpoint ? holding->endpoint->name : "-";
    }
}

/** Where the directive stands, unless the scope says so. */
static const char *origin_text(apr_pool_t *p, const rlx_holding_t *holding)
{
    if (holding->rule->kind == RLX_RULE_DEFAULT) {
        return " from default";
    }
    if (!holding->declared_in
        || (holding->rule->kind == RLX_RULE_SECTION
            && holding->declared_in == holding->endpoint)) {
        return "";
    }
    return apr_pstrcat(p, " from ", holding->declared_in->name, NULL);
}

const char *rlx_plan_text(apr_pool_t *p, const rlx_plan_t *plan)
{
    const char *text = apr_pstrcat(p, "limits in force for endpoint \"",
                                   plan->endpoint ? plan->endpoint->name : "-",
                                   "\":", plan->n ? "" : " none", NULL);

    for (int i = 0; i < plan->n; i++) {
        const rlx_holding_t *holding = &plan->holdings[i];

        text = apr_pstrcat(p, text, i ? "; " : " ",
                           holding->rule->limit[0].text, " [",
                           rlx_plan_scope(p, holding), "]",
                           origin_text(p, holding), NULL);
    }
    return text;
}
