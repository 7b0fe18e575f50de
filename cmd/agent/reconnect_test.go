package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"coin.internal/coin-agent/deploy"
)

// A user who follows logs gets each line once, though the agent restarts.
func TestLogsReconnect(t *testing.T) {
	began := time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)
	line := func(second int, task, text string) string {
		data, err := json.Marshal(deploy.LogLine{At: began.Add(time.Duration(second) * time.Second), Task: task, Stream: "stdout", Text: text})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("event: line\ndata: %s\n\n", data)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		if asked.Add(1) == 1 {
			fmt.Fprint(w, line(10, "1.a", "one"), line(20, "1.a", "two"), line(20, "1.a", "three"))
			return
		}
		if lines := r.URL.Query().Get("lines"); lines != "1000" {
			t.Errorf("it asks for %s lines again", lines)
		}
		fmt.Fprint(w, line(5, "2.b", "zero"), line(10, "1.a", "one"), line(20, "1.a", "two"), line(20, "1.a", "three"), line(30, "1.a", "four"), line(31, "2.b", "five"))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer server.Close()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(readToken), 0o600); err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	out := &ended{by: " five\n", then: cancel}
	code := run(ctx, []string{"logs", "web", "-f", "-n", "3", "--host", server.URL, "--token-file", token}, out, &errs)
	var texts []string
	for text := range strings.Lines(out.String()) {
		texts = append(texts, text[strings.LastIndex(text, " ")+1:len(text)-1])
	}
	if got := strings.Join(texts, " "); code != exitDone || got != "one two three four five" || !strings.Contains(errs.String(), "reconnecting") {
		t.Errorf("exit %d: %s; %s", code, got, errs.String())
	}
}

// ended calls a function once it was written a text.
type ended struct {
	strings.Builder
	by   string
	then func()
}

func (e *ended) Write(p []byte) (int, error) {
	n, err := e.Builder.Write(p)
	if strings.Contains(e.String(), e.by) {
		e.then()
	}
	return n, err
}
