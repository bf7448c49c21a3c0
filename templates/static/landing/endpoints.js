// The endpoints as the page lists them: it is drawn from the OpenAPI document, so the form cannot know another API.

import { find, findAll } from "../dom.js";

export const endpoints = findAll(".endpoint").map((listed) => ({
  id: listed.id,
  ...listed.dataset,
  needsToken: "token" in listed.dataset,
  fields: findAll("[data-kind]", listed).map(readField),
  example: JSON.parse(find(".request-body", listed)?.textContent ?? "null"),
}));

export const endpointById = (id) => endpoints.find((endpoint) => endpoint.id === id);

function readField(row) {
  const { name, place, kind, choices, length } = row.dataset;
  return { name, place, kind, length, choices: choices?.split(" ") ?? [], isRequired: "required" in row.dataset, hint: find("dd", row).textContent };
}
