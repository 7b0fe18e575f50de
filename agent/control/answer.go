package control

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/internal/fault"
)

// refusal is the answer of every endpoint when it fails.
type refusal struct {
	Error  string            `json:"error"`
	Hint   string            `json:"hint,omitempty"`
	Survey *inventory.Survey `json:"survey,omitempty"` // of a collection that ended early
}

// answer writes a value, or why there is none.
func answer(w http.ResponseWriter, value any, err error) {
	if err != nil {
		deny(w, refusal{}, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

// deny writes why a request fails, and the remedy.
func deny(w http.ResponseWriter, said refusal, err error) {
	said.Error, said.Hint = err.Error(), fault.Hint(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(statusOf(err))
	_ = json.NewEncoder(w).Encode(said)
}

// statusOf gives the HTTP status of an error.
func statusOf(err error) int {
	refused := request.Refused{}
	if errors.As(err, &refused) {
		switch refused.Kind {
		case request.Invalid:
			return http.StatusBadRequest
		case request.Conflict:
			return http.StatusConflict
		case request.NotFound:
			return http.StatusNotFound
		}
	}
	return http.StatusInternalServerError
}

// maxBody bounds the body of a request.
const maxBody = 16 << 10

// read reads the body of a request.
func read[T any](r *http.Request) (asked T, err error) {
	decoder := json.NewDecoder(io.LimitReader(r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&asked); err != nil {
		return asked, request.Refuse(request.Invalid, "", "read the request: %w", err)
	}
	return asked, nil
}
