package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
)

// Pause asks the agent to begin no rollouts.
func (c *Client) Pause(ctx context.Context, asked request.Pause) (*record.Pause, error) {
	var pause record.Pause
	return &pause, c.ask(ctx, "/v1/pause", asked, &pause)
}

// Resume ends a pause and what a rollback has pinned.
func (c *Client) Resume(ctx context.Context, asked request.Resume) (request.Resumed, error) {
	var ended request.Resumed
	return ended, c.ask(ctx, "/v1/resume", asked, &ended)
}

// Approve approves the plan that waits for it.
func (c *Client) Approve(ctx context.Context, asked request.Approve) (*record.Approval, error) {
	var approval record.Approval
	return &approval, c.ask(ctx, "/v1/approve", asked, &approval)
}

// Retry has the held revision tried again. With progress it follows that to its end;
// with nil it does not wait.
func (c *Client) Retry(ctx context.Context, asked request.Retry, progress func(Event)) (*record.Sync, error) {
	if progress == nil {
		return nil, c.ask(ctx, "/v1/retry?detach=1", asked, nil)
	}
	response, err := c.post(ctx, "/v1/retry", asked)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	return follow(response, progress)
}

// ask posts a request and reads what came of it; into may be nil.
func (c *Client) ask(ctx context.Context, path string, asked, into any) error {
	response, err := c.post(ctx, path, asked)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if into == nil {
		return nil
	}
	return decodeAnswer(response, into)
}

func (c *Client) post(ctx context.Context, path string, asked any) (*http.Response, error) {
	body, err := json.Marshal(asked)
	if err != nil {
		return nil, err
	}
	return c.send(ctx, http.MethodPost, path, bytes.NewReader(body))
}

// FindSync asks for one sync, by its ID or the latest.
func (c *Client) FindSync(ctx context.Context, which string) (*record.Sync, error) {
	sync := &record.Sync{}
	if err := c.get(ctx, "/v1/syncs/"+url.PathEscape(which), sync); err != nil {
		return nil, err
	}
	return sync, nil
}

// PlanRollback asks what going back would do.
func (c *Client) PlanRollback(ctx context.Context, asked request.Rollback) (*request.RollbackPlan, error) {
	var plan request.RollbackPlan
	return &plan, c.ask(ctx, "/v1/rollback/plan", asked, &plan)
}

// Rollback asks to go back, and follows that to its end.
func (c *Client) Rollback(ctx context.Context, asked request.Rollback, progress func(Event)) (*record.Sync, error) {
	response, err := c.post(ctx, "/v1/rollback", asked)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	return follow(response, progress)
}

// Survey asks for the versions of secrets and configs, and why each is kept.
func (c *Client) Survey(ctx context.Context) (*inventory.Survey, error) {
	survey := &inventory.Survey{}
	if err := c.get(ctx, "/v1/secrets", survey); err != nil {
		return nil, err
	}
	return survey, nil
}

// Collect asks the agent to remove the versions that are no longer kept. The survey says
// which were removed, also after an error where there is one.
func (c *Client) Collect(ctx context.Context) (*inventory.Survey, error) {
	response, err := c.do(ctx, http.MethodPost, "/v1/secrets/collect")
	if refused := (refusedError{}); errors.As(err, &refused) {
		return refused.survey, err
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	survey := &inventory.Survey{}
	if err := decodeAnswer(response, survey); err != nil {
		return nil, err
	}
	return survey, nil
}
