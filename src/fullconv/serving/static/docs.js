"use strict";
// /openapi.json as a page: the usual viewers load themselves from other hosts.
function element(tag, text, ...children) {
  const made = document.createElement(tag);
  made.textContent = text;
  made.append(...children);
  return made;
}
function rows(entries) {
  const list = element("ul", "");
  list.append(...entries.map((text) => element("li", text)));
  return list;
}
fetch("openapi.json").then((reply) => reply.json()).then((api) => {
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, said] of Object.entries(methods)) {
      const part = element("section", "", element("h2", `${method.toUpperCase()} ${path}`));
      part.append(element("p", said.description || said.summary || ""));
      const given = (said.parameters || []).map((one) => `${one.name} (${one.in}): ${one.description || ""}`);
      if (given.length) part.append(element("h3", "Parameters"), rows(given));
      const answers = Object.entries(said.responses || {}).map(([status, one]) =>
        `${status}: ${one.description} ${Object.keys(one.content || {}).join(", ")}`);
      part.append(element("h3", "Answers"), rows(answers));
      document.getElementById("paths").append(part);
    }
  }
});
