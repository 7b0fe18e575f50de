package gitlab

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"coin.internal/coin-agent/internal/authorities"
	"coin.internal/coin-agent/internal/fault"
)

// Options say which GitLab project to report to.
type Options struct {
	URL         string        // https://gitlab.example.com
	Project     string        // group/project, or its number
	TokenFile   string        // holds the token alone; read anew for every request
	CAFile      string        // PEM certificates to trust besides the system's; may be empty
	HTTPTimeout time.Duration // of one request; 0 means DefaultHTTPTimeout
}

// DefaultHTTPTimeout is longer than the 10 s that GitLab may wait for its own
// lock: a request given up earlier could still take effect after the check that
// looks for it.
const DefaultHTTPTimeout = 30 * time.Second

// Client makes single attempts; it never tries again by itself.
type Client struct {
	api       *gl.Client
	transport *http.Transport
	token     *tokenFile
	project   string
	host      string
	timeout   time.Duration

	mu   sync.Mutex
	user struct { // whose token it is, as far as known
		fingerprint [sha256.Size]byte
		id          int64
	}
}

// New checks the options and reads the token once, so that a wrong
// configuration is told at the start. It makes no request.
func New(o Options) (*Client, error) {
	address, err := url.Parse(o.URL)
	if err != nil || (address.Scheme != "http" && address.Scheme != "https") || address.Host == "" || address.User != nil {
		return nil, fault.New(fault.Place{}, "write it as https://gitlab.example.com, with the token in its own file",
			"the GitLab address is not a plain http or https address")
	}
	if o.Project == "" {
		return nil, fault.New(fault.Place{}, "write it as group/project, or as its number", "no GitLab project is configured")
	}
	roots, err := authorities.Load(o.CAFile)
	if err != nil {
		return nil, err
	}
	c := &Client{
		transport: newTransport(roots),
		token:     &tokenFile{path: o.TokenFile},
		project:   o.Project,
		host:      address.Host,
		timeout:   o.HTTPTimeout,
	}
	if c.timeout <= 0 {
		c.timeout = DefaultHTTPTimeout
	}
	if _, err := c.token.read(); err != nil {
		return nil, err
	}
	c.api, err = gl.NewAuthSourceClient(c.token,
		gl.WithURLWarningLogger(slog.New(slog.DiscardHandler)), // before WithBaseURL, which logs
		gl.WithBaseURL(o.URL),
		gl.WithHTTPClient(&http.Client{
			Transport:     answerKeeper{c.transport},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}),
		gl.WithoutRetries(),
		gl.WithCustomLimiter(unlimited{}),
		gl.WithUserAgent("coin-agent"),
	)
	if err != nil {
		return nil, fault.WithHint(err, "write the GitLab address as https://gitlab.example.com")
	}
	return c, nil
}

// unlimited replaces the library's own limiter, which would wait unseen.
type unlimited struct{}

// Wait lets every request pass.
func (unlimited) Wait(ctx context.Context) error { return ctx.Err() }

func newTransport(roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 10 * time.Second,
		IdleConnTimeout:     90 * time.Second,
		MaxIdleConns:        2,
		ForceAttemptHTTP2:   true,
	}
}

// Posted is a status entry as GitLab has it.
type Posted struct {
	ID         int64
	PipelineID int64
	State      State
}

// Post sends the report once. A pipeline of 0 leaves the choice to GitLab. An
// error is an *Error.
func (c *Client) Post(ctx context.Context, r Report, pipeline int64) (Posted, error) {
	if err := r.check(); err != nil {
		return Posted{}, &Error{Kind: KindPermanent, Err: err}
	}
	r = r.clean()
	options := &gl.SetCommitStatusOptions{State: gl.BuildStateValue(r.State), Ref: &r.Ref, Name: &r.Name}
	if r.Description != "" {
		options.Description = &r.Description
	}
	if r.TargetURL != "" {
		options.TargetURL = &r.TargetURL
	}
	if pipeline != 0 {
		options.PipelineID = &pipeline
	}
	var status *gl.CommitStatus
	err := c.try(ctx, "post status "+string(r.State)+" of commit "+short(r.Commit), func(with gl.RequestOptionFunc) (resp *gl.Response, err error) {
		status, resp, err = c.api.Commits.SetCommitStatus(c.project, r.Commit, options, with)
		if err == nil && (status.ID == 0 || status.PipelineID == 0) {
			err = errors.New("it is no commit status")
		}
		return resp, err
	})
	if err != nil {
		return Posted{}, err
	}
	return posted(status), nil
}

// latest finds the newest entry of the report's name, of one user unless user
// is 0. It looks into every pipeline of the commit: the one that an unanswered
// post went to need not be the one that is known.
func (c *Client) latest(ctx context.Context, r Report, user int64) (Posted, bool, error) {
	all := true
	options := &gl.GetCommitStatusesOptions{
		ListOptions: gl.ListOptions{OrderBy: "id", Sort: "desc", PerPage: 100, Page: 1},
		Ref:         &r.Ref, Name: &r.Name, All: &all,
	}
	for options.Page != 0 {
		var page []*gl.CommitStatus
		var next int64
		err := c.try(ctx, "read statuses of commit "+short(r.Commit), func(with gl.RequestOptionFunc) (resp *gl.Response, err error) {
			page, resp, err = c.api.Commits.GetCommitStatuses(c.project, r.Commit, options, with)
			if err == nil {
				next = resp.NextPage
			}
			return resp, err
		})
		if err != nil {
			return Posted{}, false, err
		}
		for _, status := range page {
			if user == 0 || status.Author.ID == user {
				return posted(status), true, nil
			}
		}
		options.Page = next
	}
	return Posted{}, false, nil
}

func posted(status *gl.CommitStatus) Posted {
	return Posted{ID: status.ID, PipelineID: status.PipelineID, State: State(status.Status)}
}

// TokenInfo is what GitLab says about the token in use.
type TokenInfo struct {
	Name      string
	UserID    int64
	Scopes    []string
	Active    bool
	ExpiresAt time.Time // the day it ends; zero when it does not
}

// Token asks GitLab about the token in use.
func (c *Client) Token(ctx context.Context) (TokenInfo, error) {
	fingerprint := c.token.fingerprint()
	var token *gl.PersonalAccessToken
	err := c.try(ctx, "ask about the token", func(with gl.RequestOptionFunc) (resp *gl.Response, err error) {
		token, resp, err = c.api.PersonalAccessTokens.GetSinglePersonalAccessToken(with)
		return resp, err
	})
	if err != nil {
		return TokenInfo{}, err
	}
	c.mu.Lock()
	c.user.fingerprint, c.user.id = fingerprint, token.UserID
	c.mu.Unlock()
	info := TokenInfo{Name: token.Name, UserID: token.UserID, Scopes: token.Scopes, Active: token.Active && !token.Revoked}
	if token.ExpiresAt != nil {
		info.ExpiresAt = time.Time(*token.ExpiresAt)
	}
	return info, nil
}

// userID gives whose token is in use, and 0 where GitLab does not tell.
func (c *Client) userID(ctx context.Context) (int64, error) {
	c.mu.Lock()
	known := c.user
	c.mu.Unlock()
	if known.id != 0 && known.fingerprint == c.token.fingerprint() {
		return known.id, nil
	}
	info, err := c.Token(ctx)
	var refused *Error
	if errors.As(err, &refused) && (refused.Status == http.StatusNotFound || refused.Status == http.StatusForbidden) {
		return 0, nil
	}
	return info.UserID, err
}

// Version asks GitLab for its version.
func (c *Client) Version(ctx context.Context) (string, error) {
	var version *gl.Version
	err := c.try(ctx, "ask for the version", func(with gl.RequestOptionFunc) (resp *gl.Response, err error) {
		version, resp, err = c.api.Version.GetVersion(with)
		return resp, err
	})
	if err != nil {
		return "", err
	}
	return version.Version, nil
}

func (c *Client) try(ctx context.Context, what string, call func(gl.RequestOptionFunc) (*gl.Response, error)) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	resp, err := call(gl.WithContext(ctx))
	if err != nil {
		return c.refusal(what, resp, err)
	}
	return nil
}
