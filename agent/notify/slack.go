package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"coin.internal/coin-agent/internal/authorities"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
)

// Slack posts to a Slack-compatible webhook. The webhook's URL is a secret: it
// is in no error, and nothing writes it down.
type Slack struct {
	file   string
	client *http.Client

	mu      sync.Mutex
	learned secrets.Value // from the node's secrets
	why     error         // why there is none
}

// NewSlack makes a sender whose webhook's URL stands in a file, which is read
// at each use, or is learned when file is empty. caFile may name certificates to
// trust besides the system's.
func NewSlack(file, caFile string) (*Slack, error) {
	roots, err := authorities.Load(caFile)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 10 * time.Second,
		DisableKeepAlives:   true, // messages are rare
		ForceAttemptHTTP2:   true,
	}
	return &Slack{file: file, client: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Learn gives the URL that the node's secrets hold, or says why they hold none.
// The Value is the sender's from then on. It says whether that is a URL that was not
// known before.
func (s *Slack) Learn(address secrets.Value, why error) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	news = address.Known() && !bytes.Equal(address.Reveal(), s.learned.Reveal())
	s.learned.Wipe()
	s.learned, s.why = address, why
	return news
}

// Ready says why there is no URL to post to; one that is still to be learned is
// no trouble.
func (s *Slack) Ready() error {
	if _, err := s.address(); !errors.Is(err, errUnlearned) {
		return err
	}
	return nil
}

// Unlearned says that a URL would have to be learned, and that nobody has told
// one, nor why there is none.
func (s *Slack) Unlearned() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.file == "" && !s.learned.Known() && s.why == nil
}

// errUnlearned says that the secrets have not been opened since the start.
var errUnlearned = errors.New("the webhook's URL is not known yet: the node's secrets have not been opened since the agent started")

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
		return parseWebhook(string(bytes.TrimSpace(s.learned.Reveal())), "write it into secrets.enc")
	case s.why != nil:
		return nil, s.why
	}
	return nil, fault.WithHint(errUnlearned, "set slack_webhook_file to have it at all times")
}

// parseWebhook takes https, and http to this machine only: the URL is all that
// it takes to post. Its errors do not quote it.
func parseWebhook(text, remedy string) (*url.URL, error) {
	address, err := url.Parse(text)
	if err != nil || address.Host == "" || address.User != nil || address.Scheme != "https" && address.Scheme != "http" {
		return nil, fault.New(fault.Place{}, remedy+" as https://hooks.example.com/services/…", "the webhook's URL is no address")
	}
	if address.Scheme == "http" && !loopback(address.Hostname()) {
		return nil, fault.New(fault.Place{}, remedy+" with https://", "the webhook's URL is without TLS: whoever sees it pass may post")
	}
	return address, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
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
		return errors.New("make the request to the webhook: its URL cannot be used")
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

// noAnswer takes the URL out of what net/http says.
func noAnswer(host string, err error) error {
	for outer := (*url.Error)(nil); errors.As(err, &outer); {
		err = outer.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("post to the webhook at %s: no answer in time", host)
	}
	hint := "see that the node reaches " + host
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		hint = "put the certificate authority of " + host + " into ca_file"
	}
	return fault.WithHint(fmt.Errorf("post to the webhook at %s: %w", host, err), hint)
}

// slackWord is what Slack answers: no_service, channel_is_archived and the like.
var slackWord = regexp.MustCompile(`^[a-z]+(_[a-z]+)+$`)

// refused decides by the status code: the message is given up only where it is itself
// at fault. Of the answer's text only a word of
// Slack's is told: anything else may quote the URL.
func refused(response *http.Response, address *url.URL, said string) error {
	code := response.StatusCode
	text := fmt.Sprintf("the webhook at %s answers %d %s", address.Host, code, http.StatusText(code))
	if len(said) < 60 && slackWord.MatchString(said) && !strings.Contains(address.String(), said) {
		text += ": " + said
	}
	switch {
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable:
		return &refusal{error: errors.New(text), after: retryAfter(response.Header)}
	case code >= 500, code == http.StatusRequestTimeout, code == http.StatusTooEarly:
		return errors.New(text)
	case code < 400:
		return fault.New(fault.Place{}, "use the URL that it redirects to", "%s, and is not followed", text)
	case code == http.StatusBadRequest, code == http.StatusRequestEntityTooLarge, code == http.StatusUnprocessableEntity:
		return permanent(fault.New(fault.Place{}, "check the channel's name in config.yml, and that the webhook is Slack-compatible", "%s", text))
	}
	// The webhook was revoked, or may not post there: what waits goes out by the next one.
	return fault.New(fault.Place{}, "make a new webhook and put its URL in the place of the old one; check the channel's name in config.yml", "%s", text)
}

// longestAfter bounds what a receiver may ask to wait.
const longestAfter = time.Hour

func retryAfter(header http.Header) time.Duration {
	text := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil && seconds > 0 {
		return min(time.Duration(min(seconds, 86400))*time.Second, longestAfter)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(time.Until(at), 0), longestAfter)
	}
	return 0
}

// slackText is the message in Slack's markup. What others wrote can neither link
// nor call the whole channel.
func slackText(m *Message) string {
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "@", "@\u200b").Replace
	var b strings.Builder
	b.WriteString("*" + strings.ReplaceAll(escape(m.Title), "*", "") + "*\n")
	for _, block := range m.Blocks {
		b.WriteString("\n")
		if block.Head != "" {
			b.WriteString(escape(block.Head) + "\n")
		}
		for _, one := range block.Lines {
			b.WriteString(escape(one) + "\n")
		}
	}
	return b.String()
}
