package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"syscall"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/inventory"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/internal/fault"
)

// ErrNotRunning says that no agent answers on the control socket.
var ErrNotRunning = errors.New("no agent answers on the control socket")

// Client talks to a running agent over its control socket.
type Client struct {
	http   *http.Client
	socket string
}

// NewClient makes a client; nothing is sent yet.
func NewClient(socket string) *Client {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true, // a client has few questions, and an idle connection is open on both sides
	}
	return &Client{http: &http.Client{Transport: transport}, socket: socket}
}

// Status asks for the status.
func (c *Client) Status(ctx context.Context) (report.Status, error) {
	var status report.Status
	return status, c.get(ctx, "/v1/status", &status)
}

// History asks for the last syncs, the newest first.
func (c *Client) History(ctx context.Context, limit int) ([]record.Sync, error) {
	var syncs []record.Sync
	return syncs, c.get(ctx, "/v1/history?limit="+strconv.Itoa(limit), &syncs)
}

// AuditHead asks for the last entry of the audit log.
func (c *Client) AuditHead(ctx context.Context) (audit.Head, error) {
	var head audit.Head
	return head, c.get(ctx, "/v1/audit/head", &head)
}

// query gives the parameters of a request for a sync.
func query(asked request.Sync) url.Values {
	values := url.Values{}
	if asked.OverrideFreeze {
		values.Set(overrideFreeze, asked.Reason)
	}
	return values
}

// Sync asks for a sync and follows it to its end. progress gets each step.
func (c *Client) Sync(ctx context.Context, asked request.Sync, progress func(Event)) (*record.Sync, error) {
	response, err := c.do(ctx, http.MethodPost, "/v1/sync?"+query(asked).Encode())
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	return follow(response, progress)
}

// follow reads the events of a sync to its end.
func follow(response *http.Response, progress func(Event)) (*record.Sync, error) {
	decoder := json.NewDecoder(response.Body)
	for {
		var event Event
		if err := decoder.Decode(&event); err != nil {
			return nil, fault.WithHint(fmt.Errorf("follow the sync: %w", err), "the agent stopped meanwhile: see `agent status`")
		}
		switch {
		case event.Error != "":
			return event.Sync, fault.New(fault.Place{}, event.Hint, "%s", event.Error)
		case event.Sync != nil:
			return event.Sync, nil
		default:
			progress(event)
		}
	}
}

// RequestSync asks for a sync and does not wait for its end.
func (c *Client) RequestSync(ctx context.Context, asked request.Sync) error {
	values := query(asked)
	values.Set(detach, "1")
	response, err := c.do(ctx, http.MethodPost, "/v1/sync?"+values.Encode())
	if err != nil {
		return err
	}
	return response.Body.Close()
}

func (c *Client) get(ctx context.Context, path string, into any) error {
	response, err := c.do(ctx, http.MethodGet, path)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	return decodeAnswer(response, into)
}

func decodeAnswer(response *http.Response, into any) error {
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		return fmt.Errorf("read the agent's answer: %w", err)
	}
	return nil
}

func (c *Client) do(ctx context.Context, method, path string) (*http.Response, error) {
	return c.send(ctx, method, path, nil)
}

func (c *Client) send(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	sent, err := http.NewRequestWithContext(ctx, method, "http://agent"+path, body)
	if err != nil {
		return nil, fmt.Errorf("ask the agent: %w", err)
	}
	response, err := c.http.Do(sent)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fault.WithHint(fmt.Errorf("%w %s", ErrNotRunning, c.socket), "start it: systemctl start coin-agent")
	case errors.Is(err, os.ErrPermission):
		return nil, fault.WithHint(fmt.Errorf("ask the agent: no permission to use %s", c.socket), "run the command as the agent's user, root as a rule")
	case err != nil:
		return nil, fmt.Errorf("ask the agent: %w", err)
	case response.StatusCode != http.StatusOK:
		defer func() { _ = response.Body.Close() }()
		return nil, readRefusal(response)
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
func readRefusal(response *http.Response) error {
	var said refusal
	if json.NewDecoder(response.Body).Decode(&said) != nil || said.Error == "" {
		return fmt.Errorf("ask the agent: it answered %s", response.Status)
	}
	return refusedError{fault.New(fault.Place{}, said.Hint, "%s", said.Error), said.Survey}
}
