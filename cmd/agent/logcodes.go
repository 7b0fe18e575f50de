package main

import (
	"context"
	"log/slog"

	"coin.internal/coin-agent/agent/explain"
	"coin.internal/coin-agent/internal/fault"
)

// codes is a log handler that adds the class of a logged error.
type codes struct{ slog.Handler }

// Handle adds code to a record that has an error and no code.
func (c codes) Handle(ctx context.Context, record slog.Record) error {
	var code fault.Code
	record.Attrs(func(attr slog.Attr) bool {
		if err, ok := attr.Value.Any().(error); ok && code == "" {
			code = explain.Code(err, "")
		} else if attr.Key == "error" && attr.Value.String() != "" && code == "" {
			code = fault.CodeOther // its text alone is known
		}
		if attr.Key == "code" {
			code = ""
			return false
		}
		return true
	})
	if code != "" {
		record = record.Clone()
		record.AddAttrs(slog.String("code", string(code)))
	}
	return c.Handler.Handle(ctx, record)
}

// WithAttrs keeps the codes.
func (c codes) WithAttrs(attrs []slog.Attr) slog.Handler { return codes{c.Handler.WithAttrs(attrs)} }

// WithGroup keeps the codes.
func (c codes) WithGroup(name string) slog.Handler { return codes{c.Handler.WithGroup(name)} }
