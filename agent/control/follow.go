package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"coin.internal/coin-agent/agent/events"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/deploy"
)

// Events asks for the events after the one of an ID; all that are kept for "".
func (c *Client) Events(ctx context.Context, after string) (events.Batch, error) {
	return ask[events.Batch](ctx, c, "GET /v1/events?follow=false&after="+url.QueryEscape(after), nil)
}

// FollowEvents gives the events after the one of an ID to each, as they happen. It ends
// with the error of each, or when the agent goes away.
func (c *Client) FollowEvents(ctx context.Context, after string, each func(event events.Event, missed bool) error) error {
	missed := false
	return c.followStream(ctx, "GET /v1/events?after="+url.QueryEscape(after), func(name string, data []byte) error {
		if name == missedMessage {
			missed = true
			return nil
		}
		var event events.Event
		if err := json.Unmarshal(data, &event); err != nil {
			return fmt.Errorf("read an event: %w", err)
		}
		err := each(event, missed)
		missed = false
		return err
	})
}

// Logs gives log lines to each.
func (c *Client) Logs(ctx context.Context, asked request.Logs, each func(deploy.LogLine) error) error {
	values := url.Values{}
	if asked.Lines != 0 {
		values.Set("lines", strconv.Itoa(asked.Lines))
	}
	if asked.Failed {
		values.Set("failed", "true")
	}
	path := "GET /v1/services/" + url.PathEscape(asked.Service) + "/logs?"
	if !asked.Follow {
		lines, err := ask[Lines](ctx, c, path+values.Encode(), nil)
		if err != nil {
			return err
		}
		for _, line := range lines.Lines {
			if err := each(line); err != nil {
				return err
			}
		}
		return nil
	}
	values.Set("follow", "true")
	return c.followStream(ctx, path+values.Encode(), func(_ string, data []byte) error {
		var line deploy.LogLine
		if err := json.Unmarshal(data, &line); err != nil {
			return fmt.Errorf("read a log line: %w", err)
		}
		return each(line)
	})
}

// ErrStreamEnded says that the agent ended a stream, or is gone.
var ErrStreamEnded = errors.New("the agent ended the stream")

// followStream reads the messages of a stream of server-sent events until it ends.
func (c *Client) followStream(ctx context.Context, endpoint string, each func(name string, data []byte) error) error {
	response, err := c.send(ctx, endpoint, nil)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	name := ""
	scanner := bufio.NewScanner(response.Body)
	scanner.Buffer(nil, 1<<20) // a message is smaller
	for scanner.Scan() {
		field, value, _ := strings.Cut(scanner.Text(), ": ")
		switch field {
		case "event":
			name = value
		case "data":
			if name == errorMessage {
				var said refusal
				_ = json.Unmarshal([]byte(value), &said)
				return said.err()
			}
			if err := each(name, []byte(value)); err != nil {
				return err
			}
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := scanner.Err(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", ErrStreamEnded, err)
	}
	return ErrStreamEnded
}
