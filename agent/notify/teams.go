package notify

import (
	"context"
	"strings"
)

// Teams posts adaptive cards to a webhook of Microsoft Teams, which its Workflows make.
type Teams struct{ hook hook }

// NewTeams makes a sender that reads the webhook's URL from a file for each message.
func NewTeams(file, caFile string) (*Teams, error) {
	made, err := newHook(file, caFile, remedy{
		message: "check that the webhook is one of Teams' Workflows",
		access:  "create a new webhook with Teams' Workflows, and write its URL into teams_webhook_file",
	})
	return &Teams{made}, err
}

// Ready returns an error if there is no URL.
func (t *Teams) Ready() error {
	_, err := t.hook.address()
	return err
}

// maxCard bounds the text of a card, in bytes: Teams takes messages of 28 KB.
const maxCard = 16 << 10

// Send posts the message once. Its texts are runs of text, in which Teams reads no Markdown.
func (t *Teams) Send(ctx context.Context, _ Receiver, m Message) error {
	run := func(text, weight string) map[string]any {
		return map[string]any{"type": "RichTextBlock", "inlines": []map[string]string{{"type": "TextRun", "text": text, "weight": weight}}}
	}
	body, size := []map[string]any{run(m.Title, "Bolder")}, 0
	for line := range strings.Lines(m.Text) {
		if line = strings.TrimRight(line, "\n"); line == "" {
			continue
		}
		if size += len(line); size > maxCard {
			body = append(body, run("The rest is cut: see `agent status` on the node", "Default"))
			break
		}
		body = append(body, run(line, "Default"))
	}
	card := map[string]any{
		"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
		"body": body, "msteams": map[string]string{"width": "Full"},
	}
	var actions []map[string]string
	for _, link := range []struct{ to, title string }{{m.Newest.Page, "Sync"}, {m.Newest.Link, "Commit"}} {
		if link.to != "" {
			actions = append(actions, map[string]string{"type": "Action.OpenUrl", "title": link.title, "url": link.to})
		}
	}
	if actions != nil {
		card["actions"] = actions
	}
	return t.hook.post(ctx, map[string]any{
		"type":        "message",
		"attachments": []map[string]any{{"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": nil, "content": card}},
	}, nil)
}
