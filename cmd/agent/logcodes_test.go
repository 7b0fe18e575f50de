package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"coin.internal/coin-agent/internal/fault"
)

// TestLogCodes wants the class of an error in each line that has one.
func TestLogCodes(t *testing.T) {
	t.Parallel()
	engine := fault.WithCode(errors.New("no answer"), fault.CodeEngine)
	for name, test := range map[string]struct {
		with []any
		want any
	}{
		"an error with a class":             {[]any{"error", engine}, "engine"},
		"one within another":                {[]any{"error", fmt.Errorf("list services: %w", engine), "hint", "wait"}, "engine"},
		"an error without a class":          {[]any{"error", errors.New("x")}, "other"},
		"the text of an error":              {[]any{"error", "x"}, "other"},
		"a class that the line has already": {[]any{"error", "x", "code", fault.CodeVault}, "vault"},
		"a class before the error":          {[]any{"code", fault.CodeVault, "error", engine}, "vault"},
		"no error":                          {[]any{"error", "", "next", 3}, nil},
		"nothing of errors":                 {[]any{"stack", "x"}, nil},
	} {
		var line strings.Builder
		slog.New(codes{slog.NewJSONHandler(&line, nil)}).With("stack", "a").Warn("that failed", test.with...)
		var got map[string]any
		if err := json.Unmarshal([]byte(line.String()), &got); err != nil {
			t.Fatal(err)
		}
		if got["code"] != test.want || strings.Count(line.String(), `"code"`) > 1 {
			t.Errorf("%s: %s", name, line.String())
		}
	}
}
