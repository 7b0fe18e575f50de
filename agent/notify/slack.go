package notify

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
)

// Slack posts to a Slack-compatible webhook. The webhook's URL is a secret, which is not in
// errors, and which the agent does not store.
type Slack struct {
	file string
	hook hook

	mu      sync.Mutex
	learned secrets.Value           // from the node's secrets
	why     error                   // the reason if there is none
	may     func(text string) error // judges it before each use; nil: each is allowed
}

// NewSlack makes a sender that reads the webhook's URL from a file for each message, or,
// if file is empty, uses the URL from Learn. caFile may name certificates that are trusted
// besides the system's.
func NewSlack(file, caFile string) (*Slack, error) {
	made, err := newHook("", caFile, remedy{
		message: "check the channel's name in config.yml, and that the webhook is Slack-compatible",
		access:  "create a new webhook and replace the URL; check the channel's name in config.yml",
	})
	return &Slack{file: file, hook: made}, err
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

// Send posts the message once.
func (s *Slack) Send(ctx context.Context, to Receiver, m Message) error {
	address, err := s.address()
	if err != nil {
		return err
	}
	return s.hook.postTo(ctx, address, map[string]any{"channel": to.Address, "username": "coin-agent", "text": slackText(&m)}, nil)
}

// slackText returns the message in Slack's markup. Texts of users can neither make links (as
// Mattermost makes them of Markdown) nor mention the channel.
func slackText(m *Message) string {
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "@", "@\u200b", "](", "]\u200b(", "][", "]\u200b[").Replace
	return "*" + strings.ReplaceAll(escape(m.Title), "*", "") + "*\n\n" + escape(m.Text)
}
