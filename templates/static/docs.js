"use strict";

const root = document.getElementById("swagger-ui");

SwaggerUIBundle({
  dom_id: "#swagger-ui",
  url: `${root.dataset.schema}?format=json`,
  deepLinking: true,
  persistAuthorization: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null, // the badge would ask a server that is not ours
});
