package gitlab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"coin.internal/coin-agent/internal/authorities"
	"coin.internal/coin-agent/internal/backoff"
	"coin.internal/coin-agent/internal/bounded"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/internal/loopback"
)

// Options has the GitLab project and the login.
type Options struct {
	URL         string        // https://gitlab.example.com
	Project     string        // group/project, or its number
	TokenFile   string        // contains only the token; read for every request
	CAFile      string        // PEM certificates that are trusted besides the system's; may be empty
	HTTPTimeout time.Duration // of one request; 0 means DefaultHTTPTimeout
	Agents      []string      // usernames of all agents; none: the token's own user
	Limits      limits.Limits // zero means the default ones

	TokenSetting string // names TokenFile in hints; default gitlab_token_file
	TokenScope   string // that the token needs, in hints; default api

	Transport http.RoundTripper // carries the requests; nil for the network
}

// DefaultHTTPTimeout is longer than the 10 s that GitLab may wait for its lock. After a
// shorter timeout, a request could take effect after the agent has looked for its result.
const DefaultHTTPTimeout = 30 * time.Second

// Client sends requests without retries. After an answer with Retry-After it sends none until that
// time is over: GitLab counts the requests of a user, whatever they are about.
type Client struct {
	api       *gl.Client
	transport *http.Transport
	token     *tokenFile
	project   string
	host      string
	timeout   time.Duration
	agents    []string // the users whom the options name, in lower case
	self      self
	most      limits.Bytes // of the answers to one question
	hold      backoff.Hold // that GitLab asked for
}

// New checks the options and reads the token once, so that a wrong configuration is
// reported at the start. It does not send a request.
func New(o Options) (*Client, error) {
	address, err := parseAddress(o.URL)
	if err != nil {
		return nil, err
	}
	if o.Project == "" {
		return nil, fault.New(fault.Place{}, "write group/project, or the number of the project", "the GitLab project is not set")
	}
	transport, err := authorities.Transport(o.CAFile)
	if err != nil {
		return nil, err
	}
	c := &Client{
		transport: transport,
		token:     &tokenFile{path: o.TokenFile, setting: cmp.Or(o.TokenSetting, "gitlab_token_file"), scope: cmp.Or(o.TokenScope, "api")},
		project:   o.Project,
		host:      address.Host,
		timeout:   o.HTTPTimeout,
		agents:    lowered(o.Agents),
		most:      o.Limits.OrDefault().AnswerBytes,
	}
	c.transport.MaxIdleConns = 2
	if c.timeout <= 0 {
		c.timeout = DefaultHTTPTimeout
	}
	if _, err := c.token.read(); err != nil {
		return nil, err
	}
	var carrier http.RoundTripper = c.transport
	if o.Transport != nil {
		carrier = o.Transport
	}
	c.api, err = gl.NewAuthSourceClient(c.token,
		gl.WithURLWarningLogger(slog.New(slog.DiscardHandler)), // before WithBaseURL, which logs
		gl.WithBaseURL(o.URL),
		gl.WithHTTPClient(&http.Client{Transport: answers{client: c, next: carrier}, Timeout: c.timeout}),
		gl.WithoutRetries(),
		gl.WithCustomLimiter(unlimited{}),
		gl.WithUserAgent("coin-agent"),
	)
	if err != nil {
		return nil, fault.WithHint(err, "write a GitLab address such as https://gitlab.example.com")
	}
	return c, nil
}

// parseAddress accepts https, and http only for this machine, because each request has the
// token.
func parseAddress(text string) (*url.URL, error) {
	address, err := url.Parse(text)
	switch {
	case err != nil || (address.Scheme != "http" && address.Scheme != "https") || address.Host == "" || address.User != nil:
		return nil, fault.New(fault.Place{}, "write an address such as https://gitlab.example.com, and the token into a file",
			"the GitLab address is not an http or https address, or it contains a login")
	case address.Scheme == "http" && !loopback.Is(address.Hostname()):
		return nil, fault.New(fault.Place{}, "write https://"+address.Host, "the GitLab address does not use TLS, so that others could read the token")
	}
	return address, nil
}

// unlimited replaces the library's rate limiter, which would delay requests.
type unlimited struct{}

// Wait does not wait.
func (unlimited) Wait(ctx context.Context) error { return ctx.Err() }

// Posted is a status entry, or a deployment, in GitLab.
type Posted struct {
	ID         int64
	PipelineID int64
	State      State

	environment int64  // of a deployment
	number      int64  // of a deployment, in its project
	url         string // of the environment
}

// Post sends the report once. With pipeline 0, GitLab chooses the pipeline. An error is an
// *Error.
func (c *Client) Post(ctx context.Context, r Report, pipeline int64) (Posted, error) {
	if err := r.check(); err != nil {
		return Posted{}, &Error{Kind: KindPermanent, Err: err}
	}
	r = r.clean()
	options := &gl.SetCommitStatusOptions{
		State: gl.BuildStateValue(r.State), Ref: &r.Ref, Name: &r.Name,
		Description: optional(r.Description), TargetURL: optional(r.Target), PipelineID: optional(pipeline),
	}
	status, err := ask(ctx, c, "post status "+string(r.State)+" of commit "+short(r.Commit), valid("it is not a commit status", func(with ...gl.RequestOptionFunc) (*gl.CommitStatus, *gl.Response, error) {
		return c.api.Commits.SetCommitStatus(c.project, r.Commit, options, with...)
	}, func(status *gl.CommitStatus) bool { return status.ID != 0 && status.PipelineID != 0 }))
	if err != nil {
		return Posted{}, err
	}
	return posted(status), nil
}

func posted(status *gl.CommitStatus) Posted {
	return Posted{ID: status.ID, PipelineID: status.PipelineID, State: State(status.Status)}
}

// userID returns the user of the token, or 0 if GitLab does not report it.
func userID(ctx context.Context, c *Client) (int64, error) {
	info, err := c.Token(ctx)
	if status := asError(err).Status; status == http.StatusNotFound || status == http.StatusForbidden {
		return 0, nil
	}
	return info.UserID, err
}

// call is a request of the library.
type call[T any] func(...gl.RequestOptionFunc) (T, *gl.Response, error)

// maxPages bounds a list whose every page names another one.
const maxPages = 1000

// budgetKey is the key of the budget in the context of a question.
type budgetKey struct{}

// budget gives a context for one question: the bytes of all answers to it count together.
func (c *Client) budget(ctx context.Context) context.Context {
	return context.WithValue(ctx, budgetKey{}, bounded.Answers(c.host, c.most))
}

// errNull is what an answer is not: null, or a list with null in it.
var errNull = errors.New("it has null instead of an object")

// ask sends one request and returns the answer, which is not nil without an error. An error is
// an *Error.
func ask[T any](ctx context.Context, c *Client, what string, call call[*T]) (*T, error) {
	answer, resp, err := call(gl.WithContext(c.budget(ctx)))
	if err == nil && answer == nil {
		err = errNull
	}
	return answer, c.refusal(what, resp != nil, err)
}

// valid gives a request of which another answer than what it asks for is an error, with what is
// wrong with it.
func valid[T any](wrong string, call call[*T], is func(*T) bool) call[*T] {
	return func(with ...gl.RequestOptionFunc) (*T, *gl.Response, error) {
		answer, resp, err := call(with...)
		if err == nil && (answer == nil || !is(answer)) {
			err = errors.New(wrong)
		}
		return answer, resp, err
	}
}

// list sends a request for each page of a list, and gives the items, none of them nil. An error
// is an *Error, and comes last.
func list[T any](ctx context.Context, c *Client, what string, call call[[]*T]) iter.Seq2[*T, error] {
	ctx = c.budget(ctx)
	pages := 0
	return gl.Scan2(func(page gl.PaginationOptionFunc) ([]*T, *gl.Response, error) {
		if pages++; pages > maxPages {
			return nil, nil, &Error{Kind: KindRetry, Err: fmt.Errorf("%s: the list has more than %d pages", what, maxPages)}
		}
		items, resp, err := call(gl.WithContext(ctx), page)
		if err == nil && slices.Contains(items, nil) {
			items, err = nil, errNull
		}
		return items, resp, c.refusal(what, resp != nil, err)
	})
}

// optional gives a field of a request, which GitLab does not get if it is empty.
func optional[T comparable](value T) *T {
	if value == *new(T) {
		return nil
	}
	return &value
}
