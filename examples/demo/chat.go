package main

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// chat simulates a chat with a Slack-compatible webhook.
type chat struct {
	url      string
	messages chan string
}

// startChat receives messages until the demo ends.
func (w *world) startChat() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("serve the chat: %w", err)
	}
	w.chat = &chat{url: "http://" + listener.Addr().String() + "/services/demo", messages: make(chan string, 100)}
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(w.chat.take),
	}
	go func() { _ = server.Serve(listener) }()
	w.later("stop the chat", func(context.Context) error { return server.Close() })
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
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	select {
	case <-ctx.Done():
		return fmt.Errorf("wait for a message to the chat: %w", ctx.Err())
	case message := <-w.chat.messages:
		w.say.line("\nThe message in the chat:\n\n%s", indent(message))
		return nil
	}
}
