// Package harbor asks a Harbor registry what its scanner has found in an image:
// it takes the image's name and a login, and gives the severity of the worst
// vulnerability. No answer, for whatever reason, is an error and never a severity;
// the login stands in no error.
package harbor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/internal/fault"
)

const (
	// answerLimit bounds one question, and maxAnswer what is read of its answer.
	answerLimit = 10 * time.Second
	maxAnswer   = 4 << 20
)

// The two forms of reports that scanners give; Harbor shows the first of those that
// are asked for and there.
const (
	genericReport = "application/vnd.security.vulnerability.report; version=1.1"
	nativeReport  = "application/vnd.scanner.adapter.vuln.report.harbor+json; version=1.0"
)

// ErrUnreachable is the cause of errors over a Harbor that does not answer at all:
// it need not be asked for the next image.
var ErrUnreachable = errors.New("harbor does not answer")

// Secret is a value that must not be seen; secrets.Value is one.
type Secret interface {
	Reveal() []byte
}

// Options say which Harbor is asked, and as whom.
type Options struct {
	URL      string         // https://harbor.example.com
	User     string         // such as robot$agent; "" asks without a login
	Password Secret         // of User
	Roots    *x509.CertPool // who vouches for it; nil for the system's
}

// Client makes single attempts; it never tries again by itself, and follows no
// redirect, which could carry the login elsewhere.
type Client struct {
	options Options
	base    string
	http    *http.Client
}

// New makes a client. It asks nothing yet.
func New(options Options) (*Client, error) {
	address, err := url.Parse(options.URL)
	if err != nil || address.Scheme != "https" || address.Host == "" || address.User != nil {
		return nil, fault.New(fault.Place{}, "write it as https://harbor.example.com", "the address of the Harbor is no plain https address")
	}
	return &Client{options: options, base: "https://" + address.Host, http: &http.Client{
		Timeout:       answerLimit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: answerLimit}).DialContext,
			TLSClientConfig:     &tls.Config{RootCAs: options.Roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: answerLimit,
			MaxIdleConns:        4,
			MaxIdleConnsPerHost: 4,
			IdleConnTimeout:     30 * time.Second,
			ForceAttemptHTTP2:   true,
		},
	}}, nil
}

// Close ends the connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// String names the Harbor.
func (c *Client) String() string { return c.base }

// Report is what a scanner has found in an image.
type Report struct {
	Severity Severity
	Counts   map[Severity]int // vulnerabilities by severity
	Scanned  time.Time        // when the scan was over
}

// Report asks for what was found in an image, of all its platforms. The error is
// a fault with its remedy; where some platforms alone were scanned, what was found in
// those comes with it.
func (c *Client) Report(ctx context.Context, image Image) (Report, error) {
	found := artifact{}
	if err := c.get(ctx, image.path()+"?with_scan_overview=true&with_tag=false", image.String(), &found); err != nil {
		return Report{}, err
	}
	if len(found.Overview) == 0 {
		return Report{}, fault.New(fault.Place{}, "scan it in Harbor, or let the project scan what is pushed", "%s has not scanned %s", c.base, image)
	}
	var worst Report
	for _, form := range slices.Sorted(maps.Keys(found.Overview)) {
		report, err := found.Overview[form].report()
		if err != nil {
			return report, fault.WithHint(fmt.Errorf("%s has no result for %s: %w", c.base, image, err), "see the scan of the artifact in Harbor, and start it again where it failed")
		}
		if worst.Severity == "" || report.Severity.rank() > worst.Severity.rank() {
			worst = report
		}
	}
	return worst, nil
}

// get asks once and decodes the answer.
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
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return c.unreachable(ctx, err)
	case response.StatusCode != http.StatusOK:
		return c.refusal(response, body, what)
	case len(body) > maxAnswer:
		return fault.New(fault.Place{}, "see that it is a Harbor", "%s gives an answer of more than %d bytes", c.base, maxAnswer)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fault.New(fault.Place{}, "see that it is a Harbor, with its API v2.0", "%s gives an answer that is no artifact", c.base)
	}
	return nil
}

// unreachable says why no answer came, without the request.
func (c *Client) unreachable(ctx context.Context, err error) error {
	var asked *url.Error
	if errors.As(err, &asked) {
		err = asked.Err
	}
	var untrusted *tls.CertificateVerificationError
	hint := "see that this node reaches it; gates.vulnerabilities.on_no_answer: warn goes on without"
	why := err.Error()
	switch {
	case errors.As(err, &untrusted):
		hint = "let gates.vulnerabilities.ca_file name the certificate authority that vouches for it"
	case ctx.Err() != nil || isTimeout(err):
		why = "no answer within " + answerLimit.String()
	}
	return &fault.Error{Message: fmt.Sprintf("%s does not answer: %s", c.base, why), Hint: hint, Err: ErrUnreachable}
}

func isTimeout(err error) bool {
	var timed net.Error
	return errors.As(err, &timed) && timed.Timeout()
}

// refusal says what an answer other than 200 means. Of Harbor's own words only a
// short text of its error form is quoted.
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
		return fault.New(fault.Place{}, "name a valid login in user_file and token_file of gates.vulnerabilities, or in registry_config_file", "%s does not let the agent in %s (%s)", c.base, as, said)
	case status == http.StatusForbidden:
		return fault.New(fault.Place{}, "give that user, or the robot account, the right to read artifacts of the project", "%s says nothing about %s %s (%s)", c.base, what, as, said)
	case status == http.StatusNotFound:
		return fault.New(fault.Place{}, "push the image to it, or name the Harbor that has it in gates.vulnerabilities.registry, or the image in except", "%s does not know %s (%s)", c.base, what, said)
	case status == http.StatusTooManyRequests || status >= http.StatusInternalServerError:
		return &fault.Error{Message: fmt.Sprintf("%s cannot answer now (%s)", c.base, said), Hint: "it is asked again; see to Harbor where that goes on", Err: ErrUnreachable}
	case status >= 300 && status < 400:
		return fault.New(fault.Place{}, "write the address that it redirects to", "%s answers with a redirect (%s), which is not followed", c.base, said)
	}
	return fault.New(fault.Place{}, "see that it is a Harbor, with its API v2.0", "%s does not answer as a Harbor does (%s)", c.base, said)
}

// errorText gives the first message of Harbor's error form, in one line.
func errorText(body []byte) string {
	var form struct {
		Errors []struct{ Code, Message string }
	}
	if err := json.Unmarshal(body, &form); err != nil || len(form.Errors) == 0 {
		return ""
	}
	text := strings.Join(strings.Fields(form.Errors[0].Code+" "+form.Errors[0].Message), " ")
	if runes := []rune(text); len(runes) > 200 {
		text = string(runes[:200]) + "…"
	}
	return text
}

// withhold gives a text unless it quotes the login.
func (c *Client) withhold(text string) string {
	if c.options.Password == nil {
		return text
	}
	if secret := c.options.Password.Reveal(); len(secret) > 0 && strings.Contains(text, string(secret)) {
		return "[an answer that quotes the login]"
	}
	return text
}
