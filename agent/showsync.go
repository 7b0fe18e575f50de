package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/internal/fault"
)

// Latest stands for the newest sync where an ID is asked for.
const Latest = "latest"

// ErrNoSync says that the history has no sync of an ID.
var ErrNoSync = errors.New("no such sync")

// FindSync gives the sync that a person names: by its ID, or the latest.
func FindSync(store *store.Store, which string) (*record.Sync, error) {
	id, err := strconv.ParseUint(strings.TrimPrefix(which, "#"), 10, 64)
	if err != nil && which != Latest {
		return nil, fault.WithHint(fmt.Errorf("%w: %q is no number", ErrNoSync, which), "name the ID as `agent history` shows it, or "+Latest)
	}
	sync, oldest, newest, err := store.Sync(id)
	if err == nil && which == Latest {
		sync, oldest, newest, err = store.Sync(newest)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the history: %w", err)
	case newest == 0:
		return nil, fault.WithHint(fmt.Errorf("%w: the history is empty", ErrNoSync), "`agent sync` makes the first one")
	case sync == nil:
		return nil, fault.WithHint(fmt.Errorf("%w: #%s", ErrNoSync, strings.TrimPrefix(which, "#")), fmt.Sprintf("the history has #%d to #%d: see `agent history`", oldest, newest))
	}
	return sync, nil
}

// serveOne answers with one sync.
func (a *Agent) serveOne(w http.ResponseWriter, r *http.Request) {
	sync, err := FindSync(a.Store, r.PathValue("id"))
	switch {
	case errors.Is(err, ErrNoSync):
		answerFault(w, http.StatusNotFound, err)
	case err != nil:
		answerFault(w, http.StatusInternalServerError, err)
	default:
		answer(w, sync)
	}
}

// refusal is what the socket answers where something cannot be done.
type refusal struct {
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
}

// answerFault says why something cannot be done, and the remedy.
func answerFault(w http.ResponseWriter, code int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(refusal{Error: err.Error(), Hint: fault.Hint(err)})
}

// readFault reads what answerFault wrote, nil where that is none.
func readFault(response *http.Response) error {
	var said refusal
	if json.NewDecoder(response.Body).Decode(&said) != nil || said.Error == "" {
		return nil
	}
	return fault.New(fault.Place{}, said.Hint, "%s", said.Error)
}

// FindSync asks for one sync, by its ID or the latest.
func (c *Client) FindSync(ctx context.Context, which string) (*record.Sync, error) {
	sync := &record.Sync{}
	if err := c.get(ctx, "/v1/syncs/"+url.PathEscape(which), sync); err != nil {
		return nil, err
	}
	return sync, nil
}
