package checks

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"coin.internal/coin-agent/internal/authorities"
	"coin.internal/coin-agent/internal/loopback"
	"coin.internal/coin-agent/internal/noanswer"
)

// longestBody is the maximum number of bytes that is read of a response.
const longestBody = 1 << 20

// HTTP sends one request to a server. It does not follow redirects.
type HTTP struct {
	URL     string
	Method  string
	Headers map[string]string
	Body    string
	Token   Secret // sent as Authorization: Bearer

	Status       []int             // any of these
	Header       map[string]string // headers of the answer
	BodyContains string
	JSONPath     string   // a value in the answer, which must exist
	JSONEquals   []string // allowed values; empty allows all
	SaveAs       string   // the name of the value for later checks

	TLS TLS
}

// TLS says which servers are trusted.
type TLS struct {
	CA                 []byte // certificates in PEM; empty means the system's
	InsecureSkipVerify bool
	ServerName         string
}

func (h *HTTP) kind() string { return h.Method }

func (h *HTTP) target(r *run) string {
	address, query, found := strings.Cut(r.public(h.URL), "?")
	if !found {
		return address
	}
	return address + "?" + r.mask(query)
}

// needs lists the texts that may contain names of saved values.
func (h *HTTP) needs() []string {
	return slices.Concat([]string{h.URL, h.Body}, slices.Collect(maps.Values(h.Headers)))
}

func (h *HTTP) statuses() string {
	texts := make([]string, 0, len(h.Status))
	for _, status := range h.Status {
		texts = append(texts, strconv.Itoa(status))
	}
	return strings.Join(texts, " or ")
}

func (h *HTTP) try(ctx context.Context, r *run) error {
	request, err := h.request(ctx, r)
	if err != nil {
		return err
	}
	config, err := h.TLS.config()
	if err != nil {
		return err
	}
	// A new connection, so that all attempts measure the same. No proxy, because the server
	// is on this node.
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	response, err := authorities.Direct(transport).Do(request)
	if err != nil {
		return h.unanswered(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, longestBody+1))
	if err != nil {
		return fmt.Errorf("got status %d and an incomplete answer: %w, want %s", response.StatusCode, noanswer.Cause(err), h.statuses())
	}
	return h.judge(response, body, r)
}

func (h *HTTP) request(ctx context.Context, r *run) (*http.Request, error) {
	address, err := r.fill(h.URL, escapeURL)
	if err != nil {
		return nil, err
	}
	escape := asIs
	if begin := strings.TrimSpace(h.Body); strings.HasPrefix(begin, "{") || strings.HasPrefix(begin, "[") {
		escape = escapeJSON
	}
	body, err := r.fill(h.Body, escape)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, h.Method, address, strings.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", noanswer.Cause(err))
	}
	if request.URL.Scheme != "https" && !loopback.Is(request.URL.Hostname()) && (h.Token != nil || h.sendsSecret()) {
		return nil, errUnencrypted
	}
	request.Header.Set("User-Agent", "coin-agent")
	for name, text := range h.Headers {
		value, err := r.fill(text, asIs)
		if err != nil {
			return nil, err
		}
		if strings.EqualFold(name, "Host") {
			request.Host = value
			continue
		}
		request.Header.Set(name, value)
	}
	if h.Token != nil {
		request.Header.Set("Authorization", "Bearer "+reveal(h.Token))
	}
	return request, nil
}

// errUnencrypted refuses a connection that others could read a credential from.
var errUnencrypted = errors.New("not sent: a credential may go without TLS to this machine only")

// sendsSecret reports whether a text of the request has a secret of the node.
func (h *HTTP) sendsSecret() bool {
	return slices.ContainsFunc(namesIn(h.needs()), func(name string) bool { return strings.HasPrefix(name, secretPrefix) })
}

func (t TLS) config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, InsecureSkipVerify: t.InsecureSkipVerify} //nolint:gosec // config.yml's choice
	if len(t.CA) == 0 {
		return config, nil
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(t.CA) {
		return nil, errors.New("the CA has no PEM certificate")
	}
	return config, nil
}

// unanswered returns the error for a failed request.
func (h *HTTP) unanswered(err error) error {
	err = noanswer.Cause(err)
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
		return fmt.Errorf("got no connection: %w, want status %s", dial.Err, h.statuses())
	}
	return fmt.Errorf("got no answer: %w, want status %s", err, h.statuses())
}

// judge compares the actual with the expected answer.
func (h *HTTP) judge(response *http.Response, body []byte, r *run) error {
	if !slices.Contains(h.Status, response.StatusCode) {
		return fmt.Errorf("got status %d%s, want %s", response.StatusCode, h.quote(body, r), h.statuses())
	}
	for _, name := range slices.Sorted(maps.Keys(h.Header)) {
		want, got := r.public(h.Header[name]), response.Header.Values(name)
		switch {
		case slices.Contains(got, want):
		case len(got) == 0:
			return fmt.Errorf("got no header %s, want %q", name, want)
		case h.confidential(r):
			return fmt.Errorf("got a different header %s (not shown, because the request or the answer contains a secret), want %q", name, want)
		default:
			return fmt.Errorf("got header %s: %s, want %q", name, r.excerpt(strings.Join(got, ", ")), want)
		}
	}
	if want := r.public(h.BodyContains); !strings.Contains(string(body), want) {
		return fmt.Errorf("got a body of %d bytes without %q%s", len(body), want, h.quote(body, r))
	}
	if h.JSONPath == "" {
		return nil
	}
	if len(body) > longestBody {
		return fmt.Errorf("got more than %d bytes, want JSON with %s", longestBody, h.JSONPath)
	}
	return h.judgeJSON(body, r)
}

func (h *HTTP) judgeJSON(body []byte, r *run) error {
	got, err := lookup(body, h.JSONPath)
	switch {
	case err != nil:
		return fmt.Errorf("got %w%s", err, h.quote(body, r))
	case len(h.JSONEquals) > 0 && !slices.Contains(r.all(h.JSONEquals), got):
		shown := r.excerpt(got)
		if h.SaveAs != "" {
			shown = "another value (not shown, because it is saved)"
		}
		return fmt.Errorf("got %s = %s, want %s", h.JSONPath, shown, oneOf(r.all(h.JSONEquals)))
	case got == "":
		return fmt.Errorf("got nothing in %s, want a value", h.JSONPath)
	}
	if h.SaveAs != "" {
		r.save(h.SaveAs, got)
	}
	return nil
}

// quote returns the start of a body, unless it is confidential.
func (h *HTTP) quote(body []byte, r *run) string {
	if h.confidential(r) || len(body) == 0 {
		return ""
	}
	return " (" + r.excerpt(string(body)) + ")"
}

// confidential reports whether the request contains a secret, or the answer a value to
// save. Such an answer is not shown.
func (h *HTTP) confidential(r *run) bool {
	return h.Token != nil || h.SaveAs != "" || r.carries(h.needs())
}
