/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * What the page does beside what HTML does by itself: what was unfolded stays
 * so when the page is loaded again, all is unfolded at once, and a refresh
 * waits for who is typing. There is no & and no < in it.
 */

#include "report/html_parts.h"

const char rlx_page_script[] =
    "'use strict';\n"
    "(function () {\n"
    "  var script = document.currentScript;\n"
    "  var name = 'limiter-status ' + location.pathname;\n"
    "  var all = document.querySelectorAll('details[id]');\n"
    "  var fold = document.querySelector('.fold');\n"
    "  var open = {};\n"
    "  try {\n"
    "    open = JSON.parse(sessionStorage.getItem(name)) || {};\n"
    "  } catch (e) {}\n"
    "  function keep() {\n"
    "    try {\n"
    "      sessionStorage.setItem(name, JSON.stringify(open));\n"
    "    } catch (e) {}\n"
    "  }\n"
    "  all.forEach(function (d) {\n"
    "    if (d.id in open) d.open = open[d.id];\n"
    "  });\n"
    "  document.addEventListener('toggle', function (event) {\n"
    "    if (event.target.id) {\n"
    "      open[event.target.id] = event.target.open;\n"
    "      keep();\n"
    "    }\n"
    "  }, true);\n"
    "  fold.hidden = !document.querySelector('.node');\n"
    "  fold.addEventListener('click', function (event) {\n"
    "    var how = event.target.dataset.fold;\n"
    "    if (how === undefined) return;\n"
    "    document.querySelectorAll('#limits details').forEach(function (d) {\n"
    "      d.open = how === 'open';\n"
    "    });\n"
    "  });\n"
    "  function busy() {\n"
    "    var at = document.activeElement;\n"
    "    return document.hidden || at.matches('input, select, .clear button');\n"
    "  }\n"
    "  function again() {\n"
    "    if (busy()) setTimeout(again, 1000); else location.reload();\n"
    "  }\n"
    "  var seconds = Number(script.dataset.refresh);\n"
    "  if (seconds) setTimeout(again, seconds * 1000);\n"
    "})();\n";
