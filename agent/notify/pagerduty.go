package notify

import (
	"bytes"
	"context"
	"time"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/lazyregexp"
	"coin.internal/coin-agent/internal/oneline"
)

// PagerDutyURL is where PagerDuty takes events of accounts outside of the EU's region.
const PagerDutyURL = "https://events.pagerduty.com/v2/enqueue"

// PagerDuty sends events to PagerDuty (Events API v2): a failure or a rollback triggers the
// alert of the node's stack, and the next success resolves it. A GitLab token has its own alert.
type PagerDuty struct {
	keyFile string
	hook    hook
}

// NewPagerDuty makes a sender that reads the integration's key from a file for each message.
func NewPagerDuty(keyFile, address, caFile string) (*PagerDuty, error) {
	made, err := newHook("", caFile, remedy{message: "see the agent's log", access: "check the key in pagerduty_key_file, and pagerduty_url"})
	made.known = address
	made.wrong = func(answer []byte) bool {
		return bytes.Contains(bytes.ToLower(bytes.ReplaceAll(answer, []byte("_"), []byte(" "))), []byte("routing key"))
	}
	return &PagerDuty{keyFile, made}, err
}

// routingKey is the form of an integration's key.
var routingKey = lazyregexp.New(`^[A-Za-z0-9]{32}$`)

func (p *PagerDuty) key() (string, error) {
	key, err := readSecret(p.keyFile, "PagerDuty's integration key")
	if err == nil && !routingKey().MatchString(key) {
		err = fault.New(fault.Place{File: p.keyFile}, "copy the key of an Events API v2 integration, which has 32 letters and digits", "the file does not contain an integration key")
	}
	return key, err
}

// Ready returns an error if there is no key.
func (p *PagerDuty) Ready() error {
	if _, err := p.hook.address(); err != nil {
		return err
	}
	_, err := p.key()
	return err
}

// The limits of an event.
const (
	maxSummary = 1024
	maxKey     = 255
)

// alert names the alert that a notice triggers or resolves.
func (n *Notice) alert() string {
	name := "coin-agent/" + n.Environment + "/" + n.Node
	if n.Key != "" {
		name += "/" + n.Key
	}
	if n.Token != "" {
		name += "/token/" + n.setting()
	}
	return name
}

// Send sends one event.
func (p *PagerDuty) Send(ctx context.Context, _ Receiver, m Message) error {
	key, err := p.key()
	if err != nil {
		return err
	}
	n := &m.Newest
	event := map[string]any{
		"routing_key": key, "event_action": "trigger", "client": "coin-agent",
		"dedup_key": oneline.Cut(n.alert(), maxKey),
	}
	if n.Event == Recovery || n.Event == Success {
		event["event_action"] = "resolve"
	}
	severity := "critical"
	if n.Event == Rollback {
		severity = "warning" // the last good state runs
	}
	event["payload"] = map[string]any{
		"summary": oneline.Cut(m.Title, maxSummary), "source": n.Environment + "/" + n.Node, "severity": severity,
		"timestamp": m.Time.UTC().Format(time.RFC3339), "component": oneline.Join(n.Stack), "group": n.Environment, "class": string(n.Event),
		"custom_details": map[string]string{"text": m.Text, "release": oneline.Join(n.Release), "commit": n.Commit, "next": oneline.Join(n.Next)},
	}
	var links []map[string]string
	for _, link := range []struct{ to, text string }{{n.Page, "the sync and its report"}, {n.Link, "the commit"}} {
		if link.to != "" {
			links = append(links, map[string]string{"href": link.to, "text": link.text})
		}
	}
	if links != nil {
		event["links"] = links
	}
	return p.hook.post(ctx, event, nil)
}
