package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/consent"
	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/internal/fault"
)

// ErrNotRunning says that no agent answers on the control socket.
var ErrNotRunning = fault.WithCode(errors.New("no agent answers on the control socket"), fault.CodeDaemon)

// ErrNoAnswer says that the agent of another node does not answer.
var ErrNoAnswer = fault.WithCode(errors.New("ask the agent"), fault.CodeDaemon)

// Client talks to a running agent: over its control socket, or over another node's API.
type Client struct {
	http   *http.Client
	base   string          // of the addresses
	token  string          // "" for the socket
	socket string          // "" for another node's API
	stack  record.StackKey // that the requests are about; "" for the only one
	most   int64           // bytes of an answer
}

// NewClient makes a client; nothing is sent yet.
func NewClient(socket string) *Client {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true, // a client has few questions, and an idle connection is open on both sides
	}
	return &Client{http: &http.Client{Transport: transport}, base: "http://" + agentHost, socket: socket, most: maxAnswer}
}

// Of gives a client whose requests are about one of the node's stacks.
func (c *Client) Of(stack record.StackKey) *Client {
	of := *c
	of.stack = stack
	return &of
}

// Status asks for the status.
func (c *Client) Status(ctx context.Context) (report.Status, error) {
	return ask[report.Status](ctx, c, "GET /v1/status", nil)
}

// Page asks for a part of the history.
func (c *Client) Page(ctx context.Context, query record.Query) (record.Page, error) {
	return ask[record.Page](ctx, c, "GET /v1/syncs?"+Values(query).Encode(), nil)
}

// Detail asks for one sync in full, by its ID or the latest.
func (c *Client) Detail(ctx context.Context, which string) (Detail, error) {
	return ask[Detail](ctx, c, "GET /v1/syncs/"+url.PathEscape(which), nil)
}

// Plan asks for the present plan, or what has drifted.
func (c *Client) Plan(ctx context.Context) (Plan, error) {
	return ask[Plan](ctx, c, "GET /v1/plan", nil)
}

// VerifyAudit has the agent check its audit log.
func (c *Client) VerifyAudit(ctx context.Context) (audit.Report, error) {
	return ask[audit.Report](ctx, c, "GET /v1/audit/verify", nil)
}

// Survey asks for the versions of secrets and configs, and why each is kept.
func (c *Client) Survey(ctx context.Context) (*inventory.Survey, error) {
	return ask[*inventory.Survey](ctx, c, "GET /v1/secrets", nil)
}

// Collect asks the agent to remove the versions that are no longer kept. The survey says
// which were removed, also after an error where there is one.
func (c *Client) Collect(ctx context.Context) (*inventory.Survey, error) {
	survey, err := ask[*inventory.Survey](ctx, c, "POST /v1/secrets/collect", nil)
	if refused := (refusedError{}); errors.As(err, &refused) {
		survey = refused.survey
	}
	return survey, err
}

// Pause asks the agent to begin no rollouts.
func (c *Client) Pause(ctx context.Context, asked request.Pause) (*record.Pause, error) {
	return ask[*record.Pause](ctx, c, "POST /v1/pause", asked)
}

// Resume ends a pause and what a rollback has pinned.
func (c *Client) Resume(ctx context.Context, asked request.Resume) (request.Resumed, error) {
	return ask[request.Resumed](ctx, c, "POST /v1/resume", asked)
}

// Approve approves the plan that waits for it.
func (c *Client) Approve(ctx context.Context, asked request.Approve) (*record.Approval, error) {
	return ask[*record.Approval](ctx, c, "POST /v1/approve", asked)
}

// Adopted asks what is on record of the stack that the node keeps.
func (c *Client) Adopted(ctx context.Context) (consent.Record, error) {
	return ask[consent.Record](ctx, c, "GET /v1/adopted", nil)
}

// PlanAdoption asks what the sync that waits for adoption would take over.
func (c *Client) PlanAdoption(ctx context.Context) (*request.AdoptionPlan, error) {
	return ask[*request.AdoptionPlan](ctx, c, "GET /v1/adopt", nil)
}

// Adopt adopts what the sync that waits for adoption would take over.
func (c *Client) Adopt(ctx context.Context, asked request.Adopt) (*record.Consent, error) {
	return ask[*record.Consent](ctx, c, "POST /v1/adopt", asked)
}

// PlanRollback asks what going back would do.
func (c *Client) PlanRollback(ctx context.Context, asked request.Rollback) (*request.RollbackPlan, error) {
	return ask[*request.RollbackPlan](ctx, c, "POST /v1/rollback/plan", asked)
}

// Rollback asks to go back, and follows that to its end.
func (c *Client) Rollback(ctx context.Context, asked request.Rollback, progress func(Event)) (*record.Sync, error) {
	return c.follow(ctx, "POST /v1/rollback", asked, progress)
}

// Retry has the held revision tried again. With progress it follows that to its end;
// with nil it does not wait.
func (c *Client) Retry(ctx context.Context, asked request.Retry, progress func(Event)) (*record.Sync, error) {
	return c.follow(ctx, "POST /v1/retry", asked, progress)
}

// Sync asks for a sync. With progress it follows that to its end; with nil it does not wait.
func (c *Client) Sync(ctx context.Context, asked request.Sync, progress func(Event)) (*record.Sync, error) {
	return c.follow(ctx, "POST /v1/sync", asked, progress)
}

// follow sends a request that starts a sync, and reads the sync's events to its end. With
// nil for progress it has the agent answer at once.
func (c *Client) follow(ctx context.Context, endpoint string, asked any, progress func(Event)) (*record.Sync, error) {
	if progress == nil {
		endpoint += "?" + detach + "=1"
	}
	response, err := c.send(ctx, endpoint, asked)
	switch {
	case err != nil && progress != nil && ctx.Err() != nil:
		return nil, interrupted(ctx)
	case err != nil:
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if progress == nil {
		return nil, nil
	}
	decoder := json.NewDecoder(response.Body)
	for {
		var event Event
		switch err := decoder.Decode(&event); {
		case err != nil && ctx.Err() != nil:
			return nil, interrupted(ctx)
		case err != nil:
			return nil, fault.WithHint(fmt.Errorf("follow the sync: %w", err), "the agent stopped meanwhile: see `agent status`")
		case event.Error != "":
			return event.Sync, refusal{Error: event.Error, Hint: event.Hint, Code: event.Code}.err()
		case event.Sync != nil:
			return event.Sync, nil
		default:
			progress(event)
		}
	}
}

// interrupted gives the error of a client that stops waiting: the agent does not stop with it.
func interrupted(ctx context.Context) error {
	return fault.WithHint(fmt.Errorf("follow the sync: %w", ctx.Err()), "what the agent has begun goes on: see `agent status`")
}

// ask sends a request and reads its answer.
func ask[T any](ctx context.Context, c *Client, endpoint string, asked any) (value T, err error) {
	response, err := c.send(ctx, endpoint, asked)
	if err != nil {
		return value, err
	}
	defer func() { _ = response.Body.Close() }()
	body := &io.LimitedReader{R: response.Body, N: c.most}
	err = json.NewDecoder(body).Decode(&value)
	switch {
	case err != nil && body.N <= 0:
		return value, fmt.Errorf("read the agent's answer: it is larger than %d MiB", c.most>>20)
	case err != nil:
		return value, fmt.Errorf("read the agent's answer: %w", err)
	}
	return value, nil
}

// send sends a request to an endpoint such as "GET /v1/status", with a body unless asked is nil.
func (c *Client) send(ctx context.Context, endpoint string, asked any) (*http.Response, error) {
	method, path, _ := strings.Cut(endpoint, " ")
	var body bytes.Buffer
	if asked != nil {
		if err := json.NewEncoder(&body).Encode(asked); err != nil {
			return nil, err
		}
	}
	sent, err := http.NewRequestWithContext(ctx, method, c.base+path, &body)
	if err != nil {
		return nil, fmt.Errorf("ask the agent: %w", err)
	}
	if asked != nil {
		sent.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		sent.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.stack != "" {
		query := sent.URL.Query()
		query.Set(ofStack, string(c.stack))
		sent.URL.RawQuery = query.Encode()
	}
	response, err := c.http.Do(sent)
	switch {
	case c.socket == "" && err != nil:
		return nil, fault.WithHint(fmt.Errorf("%w: %w", ErrNoAnswer, err), "check --host, and --ca-file for a certificate that this machine does not trust")
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fault.WithHint(fmt.Errorf("%w %s", ErrNotRunning, c.socket), "start it: systemctl start coin-agent")
	case errors.Is(err, os.ErrPermission):
		return nil, fault.WithHint(fmt.Errorf("ask the agent: no permission to use %s", c.socket), "run the command as root; or have root set `socket_group` in agent.yml to a group of yours, and restart the agent")
	case err != nil:
		return nil, fmt.Errorf("ask the agent: %w", err)
	case response.StatusCode != http.StatusOK:
		defer func() { _ = response.Body.Close() }()
		return nil, readRefusal(response, c.most)
	}
	return response, nil
}

// refusedError is a refusal of the agent, with what came with it.
type refusedError struct {
	error
	survey *inventory.Survey
}

func (e refusedError) Unwrap() error { return e.error }

// readRefusal reads why a request failed.
func readRefusal(response *http.Response, most int64) error {
	var said refusal
	if json.NewDecoder(io.LimitReader(response.Body, most)).Decode(&said) != nil || said.Error == "" {
		return fmt.Errorf("ask the agent: it answered %s", response.Status)
	}
	return refusedError{said.err(), said.Survey}
}
