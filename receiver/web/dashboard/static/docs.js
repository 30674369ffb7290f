// A signed-in person may try the API by the session; a change needs the page's CSRF token.
const place = document.getElementById("docs");

SwaggerUIBundle({
  url: place.dataset.description,
  domNode: place,
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  validatorUrl: null, // Else a description on a public host is sent to a validator on the web.
  requestInterceptor: (request) => {
    if (new URL(request.url, location).origin === location.origin) {
      request.headers["X-CSRFToken"] = place.dataset.csrf;
    }
    return request;
  },
});
