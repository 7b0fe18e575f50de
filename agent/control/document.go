package control

import (
	_ "embed"
	"net/http"
)

// openAPI describes the endpoints. A test makes it from the types, and fails while it is
// stale.
//
//go:embed openapi.json
var openAPI []byte

// document answers with the description of the endpoints.
func document(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(openAPI)
}
