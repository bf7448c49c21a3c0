"use strict";

const root = document.getElementById("swagger-ui");

SwaggerUIBundle({
  dom_id: "#swagger-ui",
  url: `${root.dataset.schema}?format=json`,
  deepLinking: true,
  persistAuthorization: false, // it would be kept in localStorage, beyond the tab and the log-out
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null, // the badge would ask a server that is not ours
});
