package gitlabtest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Hook is a webhook of the project.
type Hook struct {
	URL    string
	Token  string            // the secret token; "" for none
	Key    []byte            // of the signing token; nil for none
	Client http.RoundTripper // nil for the network
}

// SendPush sends the hook of a push to a branch, and gives the answer's status.
func (s *Server) SendPush(ctx context.Context, to Hook, branch, before, after string) (int, error) {
	return s.send(ctx, to, "Push Hook", map[string]any{
		"object_kind": "push", "event_name": "push", "ref": "refs/heads/" + branch, "before": before, "after": after, "checkout_sha": after,
	})
}

// SendTagPush sends the hook of a new tag.
func (s *Server) SendTagPush(ctx context.Context, to Hook, tag, commit string) (int, error) {
	return s.send(ctx, to, "Tag Push Hook", map[string]any{
		"object_kind": "tag_push", "event_name": "tag_push", "ref": "refs/tags/" + tag,
		"before": strings.Repeat("0", len(commit)), "after": commit, "checkout_sha": commit,
	})
}

// SendMergeRequest sends the hook of an open merge request.
func (s *Server) SendMergeRequest(ctx context.Context, to Hook, of MergeRequest, action string) (int, error) {
	return s.send(ctx, to, "Merge Request Hook", map[string]any{
		"object_kind": "merge_request", "event_type": "merge_request",
		"object_attributes": map[string]any{
			"iid": of.IID, "action": action, "state": of.State, "source_branch": of.SourceBranch, "target_branch": of.TargetBranch,
			"source_project_id": s.config.ProjectID, "target_project_id": s.config.ProjectID, "last_commit": map[string]any{"id": of.SHA},
		},
	})
}

// send sends a hook once, with the headers of GitLab. With a signing token there is a signature
// by the Standard Webhooks specification.
func (s *Server) send(ctx context.Context, to Hook, event string, body map[string]any) (int, error) {
	body["project"] = map[string]any{"id": s.config.ProjectID, "path_with_namespace": s.config.Project, "default_branch": "master"}
	content, err := json.Marshal(body)
	if err != nil {
		return 0, fmt.Errorf("send a hook: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to.URL, bytes.NewReader(content))
	if err != nil {
		return 0, fmt.Errorf("send a hook: %w", err)
	}
	s.mu.Lock()
	s.hooks++
	id := fmt.Sprintf("3cf9e4b2-0000-4000-8000-%012d", s.hooks)
	s.mu.Unlock()
	for name, value := range map[string]string{
		"Content-Type": "application/json", "User-Agent": "GitLab/18.6.0-ee", "X-Gitlab-Event": event, "X-Gitlab-Instance": "https://gitlab.coin.example",
		"X-Gitlab-Webhook-UUID": "9a1bba45-0000-4000-8000-000000000007", "X-Gitlab-Event-UUID": id, "Idempotency-Key": id,
	} {
		r.Header.Set(name, value)
	}
	if to.Token != "" {
		r.Header.Set("X-Gitlab-Token", to.Token)
	}
	if to.Key != nil {
		stamp := strconv.FormatInt(time.Now().Unix(), 10)
		mac := hmac.New(sha256.New, to.Key)
		mac.Write([]byte(id + "." + stamp + "." + string(content)))
		r.Header.Set("Webhook-Id", id)
		r.Header.Set("Webhook-Timestamp", stamp)
		r.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	client := http.Client{Transport: to.Client, Timeout: 10 * time.Second} // as GitLab waits
	answer, err := client.Do(r)
	if err != nil {
		return 0, fmt.Errorf("send a hook: %w", err)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	if closed := answer.Body.Close(); err == nil {
		err = closed
	}
	return answer.StatusCode, err
}
