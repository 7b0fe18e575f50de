package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/internal/fault"
)

// surveyAnswer is what the agent answers: a survey, an error, or after a
// collection that ended early both.
type surveyAnswer struct {
	Survey *inventory.Survey `json:"survey,omitempty"`
	Error  string            `json:"error,omitempty"`
	Hint   string            `json:"hint,omitempty"`
}

// answerSurvey answers a request on the control socket.
func answerSurvey(w http.ResponseWriter) func(*inventory.Survey, error) {
	return func(survey *inventory.Survey, err error) {
		answered := surveyAnswer{Survey: survey}
		if err != nil {
			answered.Error, answered.Hint = err.Error(), fault.Hint(err)
		}
		answer(w, answered)
	}
}

// Survey asks for the versions of secrets and configs, and why each stays.
func (c *Client) Survey(ctx context.Context) (*inventory.Survey, error) {
	return c.survey(ctx, http.MethodGet, "/v1/secrets")
}

// Collect asks the agent to remove the versions that may go, and tells which did.
func (c *Client) Collect(ctx context.Context) (*inventory.Survey, error) {
	return c.survey(ctx, http.MethodPost, "/v1/secrets/collect")
}

func (c *Client) survey(ctx context.Context, method, path string) (*inventory.Survey, error) {
	response, err := c.do(ctx, method, path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	var answered surveyAnswer
	if err := json.NewDecoder(response.Body).Decode(&answered); err != nil {
		return nil, fmt.Errorf("read the agent's answer: %w", err)
	}
	if answered.Error != "" {
		return answered.Survey, fault.New(fault.Place{}, answered.Hint, "%s", answered.Error)
	}
	return answered.Survey, nil
}
