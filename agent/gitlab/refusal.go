package gitlab

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"coin.internal/coin-agent/internal/backoff"
	"coin.internal/coin-agent/internal/bounded"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/internal/noanswer"
	"coin.internal/coin-agent/internal/oneline"
)

// Kind says how the agent reacts to a refused request.
type Kind string

// The kinds of refusal.
const (
	// KindAuth means that the operator must correct the token, rights, project or
	// address. Every other request would be refused as well.
	KindAuth Kind = "auth"
	// KindRetry means that a retry may succeed.
	KindRetry Kind = "retry"
	// KindPermanent means that every retry would be refused.
	KindPermanent Kind = "permanent"
)

// Error is the error of a request that GitLab refused or did not receive. Its text and its
// hint (fault.Hint) do not contain the token.
type Error struct {
	Kind       Kind
	Status     int           // HTTP status, or 0 without an answer
	RetryAfter time.Duration // the wait that GitLab asked for, or 0
	Err        error
}

func (e *Error) Error() string { return e.Err.Error() }

// FaultCode gives the class of the error.
func (e *Error) FaultCode() fault.Code { return fault.CodeGitLab }

// Unwrap returns the fault with its hint.
func (e *Error) Unwrap() error { return e.Err }

// asError gives the Error in err. Any other failure, such as one of the store, may pass.
func asError(err error) *Error {
	if refused, ok := errors.AsType[*Error](err); ok {
		return refused
	}
	return &Error{Kind: KindRetry, Err: err}
}

// AskedToWait gives the wait that GitLab asked for with an error; 0 for none.
func AskedToWait(err error) time.Duration { return asError(err).RetryAfter }

// missing reports whether GitLab has the project, but not what was asked for.
func (e *Error) missing() bool { return e.Status == http.StatusNotFound && e.Kind == KindPermanent }

// definite reports whether GitLab itself refused the request, so that it had no effect. A
// missing answer, or an answer of a proxy, is not definite.
func (e *Error) definite() bool {
	return e.Status >= 300 && e.Status < 500 && e.Status != http.StatusRequestTimeout
}

// errTransition is the cause of the 400 for a change that the state of the status does not
// allow.
var errTransition = errors.New("the status has this state or a later one")

// refusal converts the library's error to an Error; nil if there is none.
func (c *Client) refusal(what string, answered bool, err error) error {
	refused, known := errors.AsType[*Error](err)
	switch {
	case err == nil:
		return nil
	case known:
	case errors.Is(err, limits.ErrExceeded):
		refused = &Error{Kind: KindRetry, Err: fault.WithHint(err, fault.Hint(err))}
	case answered:
		refused = &Error{Kind: KindRetry, Err: fault.New(fault.Place{}, "check that "+c.host+" is GitLab, and not a proxy",
			"the answer is not valid: %s", c.token.scrub(err.Error()))}
	default:
		refused = c.noAnswer(err)
	}
	refused.Err = fmt.Errorf("%s: %w", what, refused.Err)
	return refused
}

// answers makes an Error from each answer that is not a success, because the library drops
// the text of a 404. So no redirect is followed, which could send the token to another host.
type answers struct {
	client *Client
	next   http.RoundTripper
}

// RoundTrip sends the request, unless GitLab has asked to wait.
func (a answers) RoundTrip(req *http.Request) (*http.Response, error) {
	if until := a.client.hold.End(); time.Until(until) > 0 {
		return nil, held(until)
	}
	resp, err := a.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 300 {
		if budget, ok := req.Context().Value(budgetKey{}).(*bounded.Budget); ok {
			resp.Body = budget.Body(resp.Body) // counts after decompression
		}
		return resp, nil
	}
	content, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	return nil, refusedBy(a.client, resp, content)
}

func refusedBy(c *Client, resp *http.Response, content []byte) *Error {
	said := c.token.scrub(answerText(resp, content))
	code := strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode)
	answer := &fault.Error{Message: "GitLab answers " + code}
	if said != "" && said != code {
		answer.Message += ": " + said
	}
	if resp.StatusCode == http.StatusBadRequest && strings.Contains(said, "Cannot transition status") {
		answer.Err = errTransition
	}
	e := &Error{Status: resp.StatusCode, RetryAfter: backoff.RetryAfter(resp.Header), Err: answer}
	e.Kind, answer.Hint = judgeRefusal(c, resp.StatusCode, said)
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable {
		c.hold.Ask(e.RetryAfter)
	}
	return e
}

// held is the error of a request that was not sent because GitLab has asked the client to wait. Its
// text stays the same meanwhile: what waits for GitLab says it at each look.
func held(until time.Time) *Error {
	return &Error{
		Kind: KindRetry, Status: http.StatusTooManyRequests, RetryAfter: time.Until(until),
		Err: fault.New(fault.Place{}, "", "not sent: GitLab asks for no request before %s", until.UTC().Format("15:04:05 UTC")),
	}
}

// judgeRefusal returns the kind of a refusal by the status code, and what the operator can do. Only
// for 404 it uses the text, to distinguish a project without access, for which all requests
// fail, from a missing commit.
func judgeRefusal(c *Client, status int, said string) (kind Kind, hint string) {
	switch {
	case status < 400:
		return KindAuth, "set the GitLab address to the one it redirects to"
	case status == http.StatusUnauthorized:
		return KindAuth, "write a valid token with the scope " + c.token.scope + " into " + c.token.String() + "; the agent uses it at once"
	case status == http.StatusForbidden:
		return KindAuth, "grant the token of " + c.token.setting + " the scope " + c.token.scope + ", and its user the role Developer (Maintainer for a protected branch)"
	case status == http.StatusProxyAuthRequired:
		return KindAuth, ""
	case status == http.StatusNotFound && strings.Contains(said, "Project Not Found"):
		return KindAuth, fmt.Sprintf("check that the project is %q, and that the token's user is a member of it", c.project)
	case status == http.StatusNotFound:
		return KindPermanent, fmt.Sprintf("check that the agent follows the repository of project %q", c.project)
	case status == http.StatusUnprocessableEntity:
		return KindPermanent, "remove jobs from the commit's pipeline, which has as many as GitLab allows"
	case status == http.StatusConflict, status == http.StatusTooManyRequests,
		status == http.StatusRequestTimeout, status >= 500:
		return KindRetry, ""
	}
	return KindPermanent, ""
}

// noAnswer returns the error for a request without an answer.
func (c *Client) noAnswer(err error) *Error {
	if own, ok := errors.AsType[*fault.Error](err); ok && errors.Is(own, errToken) {
		return &Error{Kind: KindAuth, Err: own}
	}
	hint := "check that this node can connect to " + c.host
	err = noanswer.Cause(err)
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		hint = "set ca_file to the certificate authority of GitLab"
	}
	reason := c.token.scrub(err.Error()) // without the cause, which may quote an echo of the server
	if errors.Is(err, context.DeadlineExceeded) {
		reason = "no answer within " + c.timeout.String()
	}
	return &Error{Kind: KindRetry, Err: fault.New(fault.Place{}, hint, "%s: %s", c.host, reason)}
}

// answerText returns the text of a refusal on one line. Its formats are {"message": …},
// {"error": …}, plain text, and a proxy's page.
func answerText(resp *http.Response, content []byte) string {
	if to := resp.Header.Get("Location"); resp.StatusCode < 400 && to != "" {
		return "it redirects to " + oneline.Cut(to, maxLength)
	}
	var answer struct {
		Message     json.RawMessage `json:"message"`
		Error       string          `json:"error"`
		Description string          `json:"error_description"`
	}
	if err := json.Unmarshal(content, &answer); err != nil {
		if bytes.HasPrefix(bytes.TrimSpace(content), []byte("<")) {
			return ""
		}
		return oneline.Cut(string(content), maxLength)
	}
	var message string
	if json.Unmarshal(answer.Message, &message) != nil { // not a text
		message = string(answer.Message)
	}
	return oneline.Cut(message+" "+answer.Error+" "+answer.Description, 2*maxLength)
}
