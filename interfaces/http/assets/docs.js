// Shows the OpenAPI document of this very server; asks no other host for anything.
window.addEventListener("load", () => {
  window.SwaggerUIBundle({
    url: "/openapi.json",
    dom_id: "#docs",
    deepLinking: true,
    persistAuthorization: false,
    validatorUrl: null,
  });
});
