package main

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"

	"coin.internal/coin-agent/examples/local"
)

// chat simulates a chat with a Slack-compatible webhook.
type chat struct {
	url      string
	messages chan string
}

// startChat receives messages until the demo ends.
func (w *world) startChat() error {
	w.chat = &chat{messages: make(chan string, 100)}
	url, end, err := local.Serve(http.HandlerFunc(w.chat.take))
	if err != nil {
		return err
	}
	w.chat.url = url + "/services/demo"
	w.cleanUp.Later("stop the chat", end)
	return w.write("webhook", w.chat.url+"\n")
}

func (c *chat) take(out http.ResponseWriter, request *http.Request) {
	var message struct{ Channel, Text string }
	if err := json.NewDecoder(request.Body).Decode(&message); err != nil {
		http.Error(out, "invalid_payload", http.StatusBadRequest)
		return
	}
	c.messages <- message.Channel + ": " + html.UnescapeString(message.Text)
	_, _ = io.WriteString(out, "ok")
}

// showMessage waits for the next message to the chat and prints it.
func (w *world) showMessage(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, followLimit)
	defer cancel()
	select {
	case <-ctx.Done():
		return fmt.Errorf("wait for a message to the chat: %w", ctx.Err())
	case message := <-w.chat.messages:
		w.say.line("\nThe message in the chat:\n\n%s", indent(message))
		return nil
	}
}
