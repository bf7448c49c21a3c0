// A request as text: as it goes over the wire (its token cut short, to be read), and as a program that sends it.

const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const quoted = (text) => JSON.stringify(text);
const indented = (text, by) => text.replaceAll("\n", `\n${by}`);

export const languages = {
  http: ({ method, path, headers, body }) => {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value.replace(/^(Bearer .{10}).+(.{6})$/, "$1…$2")}`);
    return [`${method} ${path} HTTP/1.1`, `Host: ${location.host}`, ...lines].join("\n") + (body === undefined ? "" : `\n\n${body}`);
  },

  curl: ({ method, path, headers, body }) => [
    `curl -X ${method} ${shell(location.origin + path)}`,
    ...Object.entries(headers).map(([name, value]) => `-H ${shell(`${name}: ${value}`)}`),
    ...(body === undefined ? [] : [`-d ${shell(body)}`]),
  ].join(" \\\n  "),

  python: ({ method, path, headers, body }) => [
    "import requests",
    "",
    "answer = requests.request(",
    `    ${quoted(method)},`,
    `    ${quoted(location.origin + path)},`,
    ...(Object.keys(headers).length ? [`    headers=${indented(JSON.stringify(headers, null, 4), "    ")},`] : []),
    ...(body === undefined ? [] : [`    data=${quoted(body.replace(/\n */g, " "))}.encode(),`]),
    ")",
    "print(answer.status_code, answer.text)",
  ].join("\n"),

  javascript: ({ method, path, headers, body }) => [
    `const answer = await fetch(${quoted(location.origin + path)}, {`,
    `  method: ${quoted(method)},`,
    ...(Object.keys(headers).length ? [`  headers: ${indented(JSON.stringify(headers, null, 2), "  ")},`] : []),
    ...(body === undefined ? [] : [`  body: JSON.stringify(${indented(body, "  ")}),`]),
    "});",
    "console.log(answer.status, await answer.text());",
  ].join("\n"),
};
