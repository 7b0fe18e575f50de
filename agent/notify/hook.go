package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"coin.internal/coin-agent/internal/authorities"
	"coin.internal/coin-agent/internal/backoff"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/lazyregexp"
	"coin.internal/coin-agent/internal/loopback"
	"coin.internal/coin-agent/internal/noanswer"
)

// hook is an address that takes JSON by POST. The address is a secret: it is not in errors.
type hook struct {
	client *http.Client
	file   string // with the address; "" for a known one
	known  string
	remedy remedy
	wrong  func(answer []byte) bool // reports whether a refusal is about a key in the settings; nil: it never is
}

// remedy says what to do about refusals.
type remedy struct {
	message string // of the message itself
	access  string // of the sender
}

func newHook(file, caFile string, remedy remedy) (hook, error) {
	client, err := authorities.Client(caFile)
	return hook{client: client, file: file, remedy: remedy}, err
}

// address reads the address.
func (h *hook) address() (*url.URL, error) {
	if h.file == "" {
		return parseWebhook(h.known, "correct it")
	}
	text, err := readSecret(h.file, "the webhook's URL")
	if err != nil {
		return nil, err
	}
	return parseWebhook(text, "write it into "+h.file)
}

// parseWebhook accepts https, and http only for this machine, because the URL alone allows
// posts. Its errors do not quote the URL.
func parseWebhook(text, remedy string) (*url.URL, error) {
	address, err := url.Parse(text)
	if err != nil || address.Host == "" || address.User != nil || address.Scheme != "https" && address.Scheme != "http" {
		return nil, fault.New(fault.Place{}, remedy+" as https://hooks.example.com/services/…", "the webhook's URL is not valid")
	}
	if address.Scheme == "http" && !loopback.Is(address.Hostname()) {
		return nil, fault.New(fault.Place{}, remedy+" with https://", "the webhook's URL does not use TLS, so that others could read it")
	}
	return address, nil
}

// post posts a message once.
func (h *hook) post(ctx context.Context, message any, header http.Header) error {
	address, err := h.address()
	if err != nil {
		return err
	}
	return h.postTo(ctx, address, message, header)
}

func (h *hook) postTo(ctx context.Context, address *url.URL, message any, header http.Header) error {
	body, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("write the message: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), bytes.NewReader(body))
	if err != nil {
		return errors.New("make the request to the webhook: its URL is not valid")
	}
	request.Header.Set("Content-Type", "application/json; charset=utf-8")
	request.Header.Set("User-Agent", "coin-agent")
	maps.Copy(request.Header, header)
	response, err := h.client.Do(request)
	if err != nil {
		return noAnswer(address.Host, err)
	}
	defer response.Body.Close() //nolint:errcheck // only read from
	said, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if response.StatusCode/100 == 2 {
		return nil
	}
	return h.refused(response, address, bytes.TrimSpace(said))
}

// noAnswer removes the URL from the error of net/http.
func noAnswer(host string, err error) error {
	err = noanswer.Cause(err)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("post to the webhook at %s: no answer in time", host)
	}
	hint := "check that this node can connect to " + host
	if noanswer.Untrusted(err) {
		hint = "set ca_file to the certificate authority of " + host
	}
	return fault.WithHint(fmt.Errorf("post to the webhook at %s: %w", host, err), hint)
}

// slackWord matches Slack's error codes, such as no_service and channel_is_archived.
var slackWord = lazyregexp.New(`^[a-z]+(_[a-z]+)+$`)

// refused returns the error for an answer by its status code. The error is permanent only
// if the message itself is refused. It quotes only an error code of Slack, because other
// texts may quote the URL.
func (h *hook) refused(response *http.Response, address *url.URL, said []byte) error {
	code := response.StatusCode
	text := fmt.Sprintf("the webhook at %s answers %d %s", address.Host, code, http.StatusText(code))
	if len(said) < 60 && slackWord().Match(said) && !strings.Contains(address.String(), string(said)) {
		text += ": " + string(said)
	}
	switch {
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable:
		return &refusal{error: errors.New(text), after: backoff.RetryAfter(response.Header)}
	case code >= 500, code == http.StatusRequestTimeout, code == http.StatusTooEarly:
		return errors.New(text)
	case code < 400:
		return fault.New(fault.Place{}, "set the URL to the target of the redirect", "%s, which the agent does not follow", text)
	case h.wrong != nil && h.wrong(said):
	case code == http.StatusBadRequest, code == http.StatusRequestEntityTooLarge, code == http.StatusUnprocessableEntity:
		return permanent(fault.New(fault.Place{}, h.remedy.message, "%s", text))
	}
	// The webhook was revoked, or gives no access. Messages wait for a new one.
	return fault.New(fault.Place{}, h.remedy.access, "%s", text)
}
