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

// answer writes a value, or why the request fails, and the remedy.
func answer(w http.ResponseWriter, value any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		survey, _ := value.(*inventory.Survey)
		w.WriteHeader(statusOf(err))
		value = refusal{Error: err.Error(), Hint: fault.Hint(err), Survey: survey}
	}
	_ = json.NewEncoder(w).Encode(value)
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

// read reads the body of a request. An empty body is a request without details.
func read[T any](r *http.Request) (asked T, err error) {
	decoder := json.NewDecoder(io.LimitReader(r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&asked); err != nil && !errors.Is(err, io.EOF) {
		return asked, request.Refuse(request.Invalid, "", "read the request: %w", err)
	}
	return asked, nil
}
