package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"coin.internal/coin-agent/internal/authorities"
	"coin.internal/coin-agent/internal/backoff"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/loopback"
	"coin.internal/coin-agent/secrets"
)

// Slack posts to a Slack-compatible webhook. The webhook's URL is a secret, which is not in
// errors, and which the agent does not store.
type Slack struct {
	file   string
	client *http.Client

	mu      sync.Mutex
	learned secrets.Value           // from the node's secrets
	why     error                   // the reason if there is none
	may     func(text string) error // judges it before each use; nil: each is allowed
}

// NewSlack makes a sender that reads the webhook's URL from a file for each message, or,
// if file is empty, uses the URL from Learn. caFile may name certificates that are trusted
// besides the system's.
func NewSlack(file, caFile string) (*Slack, error) {
	client, err := authorities.Client(caFile)
	return &Slack{file: file, client: client}, err
}

// Learn sets the URL from the node's secrets, or the reason why they have none. The sender
// owns the Value from then on. Learn reports whether the URL is new.
func (s *Slack) Learn(address secrets.Value, why error) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	news = address.Known() && !bytes.Equal(address.Reveal(), s.learned.Reveal())
	s.learned.Wipe()
	s.learned, s.why = address, why
	return news
}

// Bind has a URL of the node's secrets judged before each use.
func (s *Slack) Bind(may func(address string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.may = may
}

// Forget makes the sender wait for Learn again.
func (s *Slack) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.learned.Wipe()
	s.learned, s.why = secrets.Value{}, nil
}

// Ready returns an error if there is no URL, unless Learn was not called yet.
func (s *Slack) Ready() error {
	if _, err := s.address(); !errors.Is(err, errUnlearned) {
		return err
	}
	return nil
}

// Unlearned reports whether the sender waits for Learn.
func (s *Slack) Unlearned() bool {
	_, err := s.address()
	return errors.Is(err, errUnlearned)
}

// errUnlearned means that the agent has not opened the secrets since its start.
var errUnlearned = errors.New("the webhook's URL is unknown until the agent opens the node's secrets")

func (s *Slack) address() (*url.URL, error) {
	if s.file != "" {
		text, err := readSecret(s.file, "the webhook's URL")
		if err != nil {
			return nil, err
		}
		return parseWebhook(text, "write it into "+s.file)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.learned.Known():
		text := string(bytes.TrimSpace(s.learned.Reveal()))
		if s.may != nil {
			if err := s.may(text); err != nil {
				return nil, err
			}
		}
		return parseWebhook(text, "write it into secrets.enc")
	case s.why != nil:
		return nil, s.why
	}
	return nil, fault.WithHint(errUnlearned, "set slack_webhook_file to use a URL without the secrets")
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

// Send posts the message once.
func (s *Slack) Send(ctx context.Context, to Receiver, m Message) error {
	address, err := s.address()
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{"channel": to.Address, "username": "coin-agent", "text": slackText(&m)})
	if err != nil {
		return fmt.Errorf("write the message: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), bytes.NewReader(body))
	if err != nil {
		return errors.New("make the request to the webhook: its URL is not valid")
	}
	request.Header.Set("Content-Type", "application/json; charset=utf-8")
	request.Header.Set("User-Agent", "coin-agent")
	response, err := s.client.Do(request)
	if err != nil {
		return noAnswer(address.Host, err)
	}
	defer response.Body.Close() //nolint:errcheck // only read from
	said, _ := io.ReadAll(io.LimitReader(response.Body, 200))
	if response.StatusCode/100 == 2 {
		return nil
	}
	return refused(response, address, string(bytes.TrimSpace(said)))
}

// noAnswer removes the URL from the error of net/http.
func noAnswer(host string, err error) error {
	for outer := (*url.Error)(nil); errors.As(err, &outer); {
		err = outer.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("post to the webhook at %s: no answer in time", host)
	}
	hint := "check that this node can connect to " + host
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		hint = "set ca_file to the certificate authority of " + host
	}
	return fault.WithHint(fmt.Errorf("post to the webhook at %s: %w", host, err), hint)
}

// slackWord matches Slack's error codes, such as no_service and channel_is_archived.
var slackWord = regexp.MustCompile(`^[a-z]+(_[a-z]+)+$`)

// refused returns the error for an answer by its status code. The error is permanent only
// if the message itself is refused. It quotes only an error code of Slack, because other
// texts may quote the URL.
func refused(response *http.Response, address *url.URL, said string) error {
	code := response.StatusCode
	text := fmt.Sprintf("the webhook at %s answers %d %s", address.Host, code, http.StatusText(code))
	if len(said) < 60 && slackWord.MatchString(said) && !strings.Contains(address.String(), said) {
		text += ": " + said
	}
	switch {
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable:
		return &refusal{error: errors.New(text), after: backoff.RetryAfter(response.Header)}
	case code >= 500, code == http.StatusRequestTimeout, code == http.StatusTooEarly:
		return errors.New(text)
	case code < 400:
		return fault.New(fault.Place{}, "set the URL to the target of the redirect", "%s, which the agent does not follow", text)
	case code == http.StatusBadRequest, code == http.StatusRequestEntityTooLarge, code == http.StatusUnprocessableEntity:
		return permanent(fault.New(fault.Place{}, "check the channel's name in config.yml, and that the webhook is Slack-compatible", "%s", text))
	}
	// The webhook was revoked, or has no access to the channel. Messages wait for a new one.
	return fault.New(fault.Place{}, "create a new webhook and replace the URL; check the channel's name in config.yml", "%s", text)
}

// slackText returns the message in Slack's markup. Texts of users can neither make links (as
// Mattermost makes them of Markdown) nor mention the channel.
func slackText(m *Message) string {
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "@", "@\u200b", "](", "]\u200b(", "][", "]\u200b[").Replace
	return "*" + strings.ReplaceAll(escape(m.Title), "*", "") + "*\n\n" + escape(m.Text)
}
