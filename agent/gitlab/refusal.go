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
	"net/url"
	"strconv"
	"strings"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"coin.internal/coin-agent/internal/fault"
)

// Kind says what a refused request asks of the agent.
type Kind string

// The kinds of refusal.
const (
	// KindAuth is for the operator to mend: token, rights, project, address.
	// Every other request would be refused as well.
	KindAuth Kind = "auth"
	// KindRetry passes by itself.
	KindRetry Kind = "retry"
	// KindPermanent will be refused however often it is tried.
	KindPermanent Kind = "permanent"
)

// Error is a request that GitLab, or the way to it, refused. Its text and its
// hint (fault.Hint) never hold the token.
type Error struct {
	Kind       Kind
	Status     int           // HTTP status; 0 when no answer came
	RetryAfter time.Duration // what GitLab asked to wait; 0 when it did not say
	Err        error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives the fault with its hint.
func (e *Error) Unwrap() error { return e.Err }

// definite says that GitLab has refused the request itself, so that it can have
// had no effect. A missing answer, or a proxy's, says nothing.
func (e *Error) definite() bool {
	return e.Status >= 300 && e.Status < 500 && e.Status != http.StatusRequestTimeout
}

// errTransition marks the 400 that GitLab gives to an event that the status,
// in the state it has, does not take.
var errTransition = errors.New("the status is in that state or past it")

// refusal turns what the library returned into an Error.
func (c *Client) refusal(what string, resp *gl.Response, err error) error {
	if resp == nil || resp.Response == nil {
		return c.noAnswer(what, err)
	}
	if resp.StatusCode < 300 {
		return &Error{Kind: KindRetry, Err: fault.New(fault.Place{}, "check that "+c.host+" is GitLab, and that no proxy answers for it",
			"%s: the answer cannot be read: %s", what, c.token.scrub(err.Error()))}
	}
	said := c.token.scrub(answerText(resp.Response))
	e := &Error{
		Kind:       kindOf(resp.StatusCode, said),
		Status:     resp.StatusCode,
		RetryAfter: retryAfter(resp.Header),
	}
	code := strconv.Itoa(e.Status) + " " + http.StatusText(e.Status)
	text := what + ": GitLab answers " + code
	if said != "" && said != code {
		text += ": " + said
	}
	cause := error(nil)
	if e.Status == http.StatusBadRequest && strings.Contains(said, "Cannot transition status") {
		cause = errTransition
	}
	e.Err = &fault.Error{Message: text, Hint: c.hint(e.Status, e.Kind), Err: cause}
	return e
}

// kindOf decides by the status code. The one look at the text tells a project
// that the token cannot see, where everything would be refused, from a commit
// that is not there.
func kindOf(status int, said string) Kind {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusProxyAuthRequired:
		return KindAuth
	case status == http.StatusNotFound && strings.Contains(said, "Project Not Found"):
		return KindAuth
	case status < 400: // a redirect is not followed: it would carry the token elsewhere
		return KindAuth
	case status == http.StatusConflict, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status >= 500:
		return KindRetry
	default:
		return KindPermanent
	}
}

func (c *Client) hint(status int, kind Kind) string {
	switch {
	case status == http.StatusUnauthorized:
		return "write a valid token with the scope api into " + c.token.path + "; the agent sees the new one by itself"
	case status == http.StatusForbidden:
		return "give the token the scope api and its user the Developer role, or Maintainer where the branch is protected"
	case status == http.StatusNotFound && kind == KindAuth:
		return fmt.Sprintf("check that %q is the project and that the token's user is a member of it", c.project)
	case status == http.StatusNotFound:
		return fmt.Sprintf("check that the agent follows the repository of project %q", c.project)
	case status < 400:
		return "set the GitLab address to the one it redirects to"
	case status == http.StatusUnprocessableEntity:
		return "the commit's pipeline has as many jobs as GitLab allows"
	default:
		return ""
	}
}

// noAnswer explains an attempt that ended without an answer.
func (c *Client) noAnswer(what string, err error) error {
	var own *tokenError
	if errors.As(err, &own) {
		return &Error{Kind: KindAuth, Err: fault.WithHint(fmt.Errorf("%s: %w", what, own), fault.Hint(own))}
	}
	hint := "check that " + c.host + " can be reached from this node"
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		hint = "name the file of GitLab's certificate authority in the agent's configuration"
	}
	reason := c.token.scrub(err.Error()) // the cause itself is not kept: it may quote what the server echoed
	if errors.Is(err, context.DeadlineExceeded) {
		reason = "no answer within " + c.timeout.String()
	}
	return &Error{Kind: KindRetry, Err: fault.New(fault.Place{}, hint, "%s: %s: %s", what, c.host, reason)}
}

// answerKeeper keeps the text of refusals: the library throws that of a 404
// away, and it is what the operator needs to see.
type answerKeeper struct{ next http.RoundTripper }

type keptBody struct {
	*bytes.Reader
	text []byte
}

func (keptBody) Close() error { return nil }

// RoundTrip sends the request on.
func (k answerKeeper) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := k.next.RoundTrip(req)
	if err != nil || resp.StatusCode < 300 {
		return resp, err
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	closeErr := resp.Body.Close()
	if err := errors.Join(err, closeErr); err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	resp.Body = keptBody{bytes.NewReader(text), text}
	return resp, nil
}

// answerText gives what a refusal says, in one line. The bodies differ:
// {"message": …}, {"error": …}, plain text, a proxy's page.
func answerText(resp *http.Response) string {
	if to := resp.Header.Get("Location"); resp.StatusCode < 400 && to != "" {
		return "it redirects to " + fold(to, maxLength)
	}
	kept, ok := resp.Body.(keptBody)
	if !ok {
		return ""
	}
	var answer struct {
		Message     json.RawMessage `json:"message"`
		Error       string          `json:"error"`
		Description string          `json:"error_description"`
	}
	if err := json.Unmarshal(kept.text, &answer); err != nil {
		if bytes.HasPrefix(bytes.TrimSpace(kept.text), []byte("<")) {
			return ""
		}
		return fold(string(kept.text), maxLength)
	}
	var parts []string
	var message string
	switch {
	case json.Unmarshal(answer.Message, &message) == nil:
		parts = append(parts, message)
	case len(answer.Message) > 0:
		parts = append(parts, string(answer.Message))
	}
	parts = append(parts, answer.Error, answer.Description)
	return fold(strings.Join(parts, " "), 2*maxLength)
}

// longestWait bounds what a server may ask for, so that a wrong clock or a
// slip of a proxy does not silence the agent for days.
const longestWait = time.Hour

func retryAfter(header http.Header) time.Duration {
	value := header.Get("Retry-After")
	wait := time.Duration(0)
	if seconds, err := strconv.Atoi(value); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = time.Until(at)
	}
	return min(max(wait, 0), longestWait)
}
