package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/lazyregexp"
	"coin.internal/coin-agent/internal/oneline"
)

// Webhook posts JSON to any address, in the form of a template.
type Webhook struct {
	hook      hook
	tokenFile string
	template  any // nil: all fields
}

// WebhookOptions name the files of a webhook.
type WebhookOptions struct {
	URLFile      string
	TokenFile    string // with a bearer token; "" for none
	TemplateFile string // a JSON document; "" for all fields
	CAFile       string
}

// NewWebhook makes a sender that reads URL and token for each message, and the template now.
func NewWebhook(o WebhookOptions) (*Webhook, error) {
	made, err := newHook(o.URLFile, o.CAFile, remedy{
		message: "check that the server takes what notify_template_file makes",
		access:  "check the URL in notify_url_file and the token in notify_token_file",
	})
	if err != nil {
		return nil, err
	}
	w := &Webhook{hook: made, tokenFile: o.TokenFile}
	if o.TemplateFile == "" {
		return w, nil
	}
	data, err := os.ReadFile(o.TemplateFile)
	if err != nil {
		return nil, fault.New(fault.Place{File: o.TemplateFile}, "correct notify_template_file", "read the template of notices: %w", err)
	}
	place := fault.Place{File: o.TemplateFile}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	err = decoder.Decode(&w.template)
	if _, more := decoder.Token(); err != nil || more != io.EOF || w.template == nil {
		return nil, fault.New(place, `write one JSON document such as {"text": "{{title}}"}`, "the template of notices is not valid JSON: %v", err)
	}
	_, err = fill(w.template, fields(&Message{}))
	if err != nil {
		return nil, fault.New(place, "use "+strings.Join(fieldNames(), ", "), "the template of notices: %w", err)
	}
	return w, nil
}

// Ready returns an error if there is no URL, or no token where the settings name a file.
func (w *Webhook) Ready() error {
	_, err := w.hook.address()
	if err == nil {
		_, err = w.header()
	}
	return err
}

func (w *Webhook) header() (http.Header, error) {
	if w.tokenFile == "" {
		return nil, nil
	}
	token, err := readSecret(w.tokenFile, "the webhook's token")
	return http.Header{"Authorization": {"Bearer " + token}}, err
}

// Send posts the message once.
func (w *Webhook) Send(ctx context.Context, _ Receiver, m Message) error {
	header, err := w.header()
	if err != nil {
		return err
	}
	var body any = fields(&m)
	if w.template != nil {
		if body, err = fill(w.template, fields(&m)); err != nil {
			return err
		}
	}
	return w.hook.post(ctx, body, header)
}

// fields are what a template can name.
func fields(m *Message) map[string]string {
	n := &m.Newest
	values := map[string]string{
		"event": string(n.Event), "environment": n.Environment, "node": n.Node, "stack": n.Stack, "release": n.Release,
		"commit": n.Commit, "ref": n.Ref, "author": n.Author, "subject": n.Subject, "link": n.Link, "page": n.Page, "next": n.Next,
	}
	for name, value := range values {
		values[name] = oneline.Cut(value, maxDetail)
	}
	maps.Copy(values, map[string]string{"id": m.ID, "time": stamp(m.Time), "title": m.Title, "text": m.Text})
	return values
}

func fieldNames() []string {
	var names []string
	for name := range fields(&Message{}) {
		names = append(names, "{{"+name+"}}")
	}
	slices.Sort(names)
	return names
}

var placeholder = lazyregexp.New(`\{\{[^{}]*\}\}`)

// fill replaces the placeholders in the strings of a document. A value stays within its string:
// it cannot change the document.
func fill(document any, values map[string]string) (any, error) {
	switch of := document.(type) {
	case string:
		var unknown error
		text := placeholder().ReplaceAllStringFunc(of, func(found string) string {
			value, known := values[strings.TrimSpace(found[2:len(found)-2])]
			if !known && unknown == nil {
				unknown = fmt.Errorf("there is no field %s", found)
			}
			return value
		})
		return text, unknown
	case []any:
		filled := make([]any, len(of))
		for i, item := range of {
			var err error
			if filled[i], err = fill(item, values); err != nil {
				return nil, err
			}
		}
		return filled, nil
	case map[string]any:
		filled := map[string]any{}
		for key, item := range of {
			var err error
			if filled[key], err = fill(item, values); err != nil {
				return nil, err
			}
		}
		return filled, nil
	}
	return document, nil
}
