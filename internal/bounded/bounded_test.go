package bounded_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"coin.internal/coin-agent/internal/bounded"
	"coin.internal/coin-agent/internal/limits"
)

func TestReadAll(t *testing.T) {
	for text, want := range map[string]error{"": nil, "1234": nil, "12345": bounded.ErrTooLong} {
		content, err := bounded.ReadAll(strings.NewReader(text), 4)
		if !errors.Is(err, want) || err == nil && string(content) != text || err != nil && content != nil {
			t.Errorf("%q: got %q, %v", text, content, err)
		}
	}
}

// TestBudget reads several answers within one budget.
func TestBudget(t *testing.T) {
	budget := bounded.Answers("host", 10)
	for range 2 {
		if content, err := io.ReadAll(budget.Reader(strings.NewReader("12345"))); err != nil || string(content) != "12345" {
			t.Errorf("got %q, %v", content, err)
		}
	}
	content, err := io.ReadAll(budget.Reader(strings.NewReader("6")))
	if len(content) > 0 || !errors.Is(err, limits.ErrExceeded) || err.Error() != "the answer of host has more than 10B: limits.answer_bytes allows 10B" {
		t.Errorf("got %q, %v", content, err)
	}
}

func TestBuffer(t *testing.T) {
	buffer := bounded.Buffer{Most: 4}
	if n, err := buffer.Write([]byte("123")); n != 3 || err != nil {
		t.Errorf("wrote %d, %v", n, err)
	}
	if n, err := buffer.Write([]byte("456")); n != 1 || !errors.Is(err, bounded.ErrTooLong) || string(buffer.Bytes()) != "1234" {
		t.Errorf("wrote %d, %v: %q", n, err, buffer.Bytes())
	}
}
