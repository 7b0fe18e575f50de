// Package harbor asks a Harbor registry for the vulnerabilities of an image: from the
// image's name and a login it makes a Report with the worst severity. It guarantees that a
// missing answer is an error and never a severity, and that errors do not contain the
// login.
package harbor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"coin.internal/coin-agent/internal/authorities"
	"coin.internal/coin-agent/internal/bounded"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/noanswer"
	"coin.internal/coin-agent/internal/oneline"
)

const (
	// answerLimit is the timeout of one request, maxAnswer the maximum size of its answer.
	answerLimit = 10 * time.Second
	maxAnswer   = 4 << 20
)

// The two formats of scan reports. Harbor returns the first requested format that exists.
const (
	genericReport = "application/vnd.security.vulnerability.report; version=1.1"
	nativeReport  = "application/vnd.scanner.adapter.vuln.report.harbor+json; version=1.0"
)

// ErrUnreachable is the cause of errors if Harbor does not answer, so that requests for
// other images would fail as well.
var ErrUnreachable = errors.New("harbor does not answer")

// Secret is a value that must not be shown, such as a secrets.Value.
type Secret interface {
	Reveal() []byte
}

// Options has the address of Harbor and the login.
type Options struct {
	URL      string         // https://harbor.example.com
	User     string         // such as robot$agent; "" means no login
	Password Secret         // of User
	Roots    *x509.CertPool // trusted certificate authorities; nil means the system's
}

// Client sends requests without retries, and none after Harbor did not answer. It does
// not follow redirects, which could send the login to another server.
type Client struct {
	options Options
	base    string
	http    *http.Client
	down    atomic.Pointer[error] // why Harbor does not answer
}

// New makes a client. It does not send a request.
func New(options Options) (*Client, error) {
	address, err := url.Parse(options.URL)
	if err != nil || address.Scheme != "https" || address.Host == "" || address.User != nil {
		return nil, fault.New(fault.Place{}, "write an address such as https://harbor.example.com", "the address of Harbor is not an https address, or it contains a login")
	}
	return &Client{options: options, base: "https://" + address.Host, http: authorities.Direct(&http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: options.Roots, MinVersion: tls.VersionTLS12},
		MaxIdleConnsPerHost: 4,
		ForceAttemptHTTP2:   true,
	})}, nil
}

// Close ends the connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Report is the result of the scan of an image.
type Report struct {
	Severity Severity
	Counts   map[Severity]int // vulnerabilities by severity
	Scanned  time.Time        // the end of the scan
}

// Report requests the result of the scan of an image and all its platforms. The error is a
// fault with a hint. If only some platforms were scanned, it returns both their result and
// an error.
func (c *Client) Report(ctx context.Context, image Image) (Report, error) {
	if down := c.down.Load(); down != nil {
		return Report{}, *down
	}
	found := artifact{}
	if err := c.get(ctx, image.path()+"?with_scan_overview=true&with_tag=false", image.String(), &found); err != nil {
		if errors.Is(err, ErrUnreachable) {
			c.down.Store(&err)
		}
		return Report{}, err
	}
	if len(found.Overview) == 0 {
		return Report{}, fault.New(fault.Place{}, "scan the image in Harbor, or enable scans on push in its project", "%s has not scanned %s", c.base, image)
	}
	var worst Report
	for _, form := range slices.Sorted(maps.Keys(found.Overview)) {
		report, err := found.Overview[form].report()
		if err != nil {
			return report, fault.WithHint(fmt.Errorf("%s has no result for %s: %w", c.base, image, err), "check the scan of the artifact in Harbor, and start it again if it failed")
		}
		if worst.Severity == "" || report.Severity.rank() > worst.Severity.rank() {
			worst = report
		}
	}
	return worst, nil
}

// get sends one request and decodes the answer.
func (c *Client) get(ctx context.Context, path, what string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", c.base, err)
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "coin-agent")
	request.Header.Set("X-Accept-Vulnerabilities", genericReport+", "+nativeReport)
	if c.options.User != "" {
		request.SetBasicAuth(c.options.User, string(c.options.Password.Reveal()))
	}
	response, err := c.http.Do(request)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := bounded.ReadAll(response.Body, maxAnswer)
	switch long := errors.Is(err, bounded.ErrTooLong); {
	case err != nil && !long:
		return c.unreachable(ctx, err)
	case response.StatusCode != http.StatusOK:
		return c.refusal(response, body, what)
	case long:
		return fault.New(fault.Place{}, "check that the address is a Harbor", "%s returned an answer of more than %d bytes", c.base, maxAnswer)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fault.New(fault.Place{}, "check that the address is a Harbor with API v2.0", "%s returned an answer that is not an artifact", c.base)
	}
	return nil
}

// unreachable returns the error for a missing answer, without the request.
func (c *Client) unreachable(ctx context.Context, err error) error {
	err = noanswer.Cause(err)
	hint := "check that this node can connect to it, or set gates.vulnerabilities.on_no_answer: warn"
	why := err.Error()
	switch {
	case noanswer.Untrusted(err):
		hint = "set gates.vulnerabilities.ca_file to its certificate authority"
	case ctx.Err() != nil || noanswer.Late(err):
		why = "no answer within " + answerLimit.String()
	}
	return &fault.Error{Message: fmt.Sprintf("%s does not answer: %s", c.base, why), Hint: hint, Err: ErrUnreachable}
}

// refusal returns the error for an answer other than 200. It quotes only a short text from
// Harbor's error format.
func (c *Client) refusal(response *http.Response, body []byte, what string) error {
	said := fmt.Sprintf("HTTP %d", response.StatusCode)
	if text := errorText(body); text != "" {
		said += ": " + c.withhold(text)
	}
	as := "without a login"
	if c.options.User != "" {
		as = "as " + c.options.User
	}
	switch status := response.StatusCode; {
	case status == http.StatusUnauthorized:
		return fault.New(fault.Place{}, "set a valid login in user_file and token_file of gates.vulnerabilities, or in registry_config_file", "%s refuses access %s (%s)", c.base, as, said)
	case status == http.StatusForbidden:
		return fault.New(fault.Place{}, "grant the user or robot account the right to read artifacts of the project", "%s refuses access to %s %s (%s)", c.base, what, as, said)
	case status == http.StatusNotFound:
		return fault.New(fault.Place{}, "push the image, set gates.vulnerabilities.registry to the Harbor that has it, or add it to except", "%s does not have %s (%s)", c.base, what, said)
	case status == http.StatusTooManyRequests || status >= http.StatusInternalServerError:
		return &fault.Error{Message: fmt.Sprintf("%s is not available (%s)", c.base, said), Hint: "check the state of Harbor; the agent asks again", Err: ErrUnreachable}
	case status >= 300 && status < 400:
		return fault.New(fault.Place{}, "set the address to the target of the redirect", "%s answers with a redirect (%s), which the agent does not follow", c.base, said)
	}
	return fault.New(fault.Place{}, "check that the address is a Harbor with API v2.0", "%s does not answer like Harbor (%s)", c.base, said)
}

// errorText returns the first message in Harbor's error format, on one line.
func errorText(body []byte) string {
	var form struct {
		Errors []struct{ Code, Message string }
	}
	if err := json.Unmarshal(body, &form); err != nil || len(form.Errors) == 0 {
		return ""
	}
	return oneline.Cut(form.Errors[0].Code+" "+form.Errors[0].Message, 200)
}

// withhold returns a text, unless it quotes the login.
func (c *Client) withhold(text string) string {
	if c.options.Password == nil {
		return text
	}
	if secret := c.options.Password.Reveal(); len(secret) > 0 && strings.Contains(text, string(secret)) {
		return "[an answer that quotes the login]"
	}
	return text
}
