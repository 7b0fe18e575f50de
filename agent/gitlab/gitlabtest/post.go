package gitlabtest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Status is one entry in GitLab's format.
type Status struct {
	ID           int64      `json:"id"`
	SHA          string     `json:"sha"`
	Ref          string     `json:"ref"`
	Status       string     `json:"status"`
	Name         string     `json:"name"`
	TargetURL    *string    `json:"target_url"`
	Description  *string    `json:"description"`
	CreatedAt    time.Time  `json:"created_at"`
	StartedAt    *time.Time `json:"started_at"`
	FinishedAt   *time.Time `json:"finished_at"`
	AllowFailure bool       `json:"allow_failure"`
	Coverage     *float64   `json:"coverage"`
	PipelineID   int64      `json:"pipeline_id"`
	Author       Author     `json:"author"`

	Retried bool `json:"-"` // its pipeline has a newer entry with its name
	job     bool // a CI job, not a posted status
}

// Author is the user of an entry.
type Author struct {
	ID       int64  `json:"id"`
	Username string `json:"username"`
	Name     string `json:"name"`
	State    string `json:"state"`
}

// Post is a post that took effect.
type Post struct {
	Time        time.Time
	SHA         string
	Ref         string
	Name        string
	State       string
	Description string
	TargetURL   string
	StatusID    int64
	PipelineID  int64
	User        string
}

type pipeline struct {
	id     int64
	sha    string
	ref    string
	source string
	full   bool // the maximum number of jobs is reached
}

var states = []string{"pending", "running", "success", "failed", "canceled", "skipped"} //nolint:gochecknoglobals // a constant list

// postStatus is POST /projects/:id/statuses/:sha.
func (s *Server) postStatus(token Token, project, sha string, params url.Values) answer {
	switch state := params.Get("state"); {
	case state == "":
		return apiError(http.StatusBadRequest, "state is missing, state does not have a valid value")
	case !slices.Contains(states, state):
		return apiError(http.StatusBadRequest, "state does not have a valid value")
	}
	wanted, refusal := number(params, "pipeline_id")
	if refusal != nil {
		return *refusal
	}
	if refusal := s.admit(token, project, []string{"api"}, Developer); refusal != nil {
		return *refusal
	}
	commit, branches, ok := s.commit(sha)
	if !ok {
		return refuse(http.StatusNotFound, "404 Commit Not Found")
	}
	found := s.pipeline(commit, params.Get("ref"), wanted)
	ref := params.Get("ref")
	switch {
	case ref != "":
	case found != nil:
		ref = found.ref
	case len(branches) > 0:
		ref = branches[0]
	default:
		return refuse(http.StatusNotFound, "404 References for commit Not Found")
	}
	name := firstOf(params.Get("name"), params.Get("context"), "default")
	if wanted != 0 && found == nil {
		return refuse(http.StatusNotFound, "404 Pipeline for pipeline_id, sha and ref Not Found")
	}
	if found != nil && found.full && s.open(found, name, ref, token.User) == nil {
		if wanted != 0 {
			return refuse(http.StatusUnprocessableEntity, "The number of jobs has exceeded the limit")
		}
		found = nil
	}
	if found == nil {
		found = s.addPipeline(commit, ref, "external")
	}
	if s.protected[ref] && token.User.Access < Maintainer {
		return refuse(http.StatusForbidden, "403 Forbidden")
	}
	return s.apply(found, name, ref, token.User, params)
}

// apply finds or makes the entry, and applies the event.
func (s *Server) apply(in *pipeline, name, ref string, user User, params url.Values) answer {
	now := time.Now().UTC()
	existing := s.open(in, name, ref, user)
	next := Status{
		SHA: in.sha, Ref: ref, Status: "created", Name: name, PipelineID: in.id, CreatedAt: now,
		Author: Author{ID: user.ID, Username: user.Name, Name: user.Name, State: "active"},
	}
	if existing != nil {
		next = *existing
	}
	if refusal := assign(&next, params); refusal != nil {
		return *refusal
	}
	if slices.ContainsFunc(s.statuses, func(other *Status) bool { return other.job && other.PipelineID == in.id && other.Name == name }) {
		return refuse(http.StatusBadRequest, map[string][]string{"name": {"has already been taken"}})
	}
	if refusal := next.event(params.Get("state"), now); refusal != nil {
		return *refusal
	}
	saved := existing
	if saved == nil {
		for _, other := range s.statuses {
			other.Retried = other.Retried || (other.PipelineID == in.id && other.Name == name)
		}
		saved = &Status{}
		next.ID = 5001 + int64(len(s.statuses))
		s.statuses = append(s.statuses, saved)
	}
	*saved = next
	s.posts = append(s.posts, Post{
		Time: now, SHA: saved.SHA, Ref: ref, Name: name, State: saved.Status, Description: value(saved.Description),
		TargetURL: value(saved.TargetURL), StatusID: saved.ID, PipelineID: in.id, User: user.Name,
	})
	return answer{code: http.StatusCreated, body: *saved}
}

// open finds the unfinished entry that a post would change.
func (s *Server) open(in *pipeline, name, ref string, user User) *Status {
	for _, status := range s.statuses {
		if !status.job && status.PipelineID == in.id && status.Name == name && status.Ref == ref &&
			status.Author.ID == user.ID && (status.Status == "pending" || status.Status == "running") {
			return status
		}
	}
	return nil
}

// assign sets the given attributes, and refuses too long ones.
func assign(status *Status, params url.Values) *answer {
	invalid := map[string][]string{}
	for name, field := range map[string]**string{"description": &status.Description, "target_url": &status.TargetURL} {
		text := params.Get(name)
		if text == "" {
			continue
		}
		if utf8.RuneCountInString(text) > 255 {
			invalid[name] = append(invalid[name], "is too long (maximum is 255 characters)")
		}
		*field = &text
	}
	if link := value(status.TargetURL); link != "" {
		parsed, err := url.Parse(link)
		switch {
		case err != nil:
			invalid["target_url"] = append(invalid["target_url"], "must be a valid URL")
		case (parsed.Scheme != "http" && parsed.Scheme != "https") || parsed.Host == "":
			invalid["target_url"] = append(invalid["target_url"], "is blocked: Only allowed schemes are http, https")
		}
	}
	if text := params.Get("coverage"); text != "" {
		coverage, err := strconv.ParseFloat(text, 64)
		if err != nil {
			refusal := apiError(http.StatusBadRequest, "coverage is invalid")
			return &refusal
		}
		status.Coverage = &coverage
	}
	if len(invalid) > 0 {
		refusal := refuse(http.StatusBadRequest, invalid)
		return &refusal
	}
	return nil
}

// event is GitLab's state machine.
func (status *Status) event(state string, now time.Time) *answer {
	events := map[string]struct {
		name string
		from []string
	}{
		"pending":  {"enqueue", []string{"created"}},
		"running":  {"run", []string{"created", "pending"}},
		"success":  {"success", []string{"created", "pending", "running"}},
		"failed":   {"drop", []string{"created", "pending", "running"}},
		"canceled": {"cancel", []string{"created", "pending", "running"}},
		"skipped":  {"skip", []string{"created", "pending"}},
	}
	event := events[state]
	if !slices.Contains(event.from, status.Status) {
		refusal := refuse(http.StatusBadRequest, fmt.Sprintf(
			"Cannot transition status via :%s from :%s (Reason(s): Status cannot transition via %q)", event.name, status.Status, event.name))
		return &refusal
	}
	status.Status = state
	switch state {
	case "pending":
	case "running":
		status.StartedAt = &now
	default:
		status.FinishedAt = &now
	}
	return nil
}

// commit resolves a full or short hash.
func (s *Server) commit(sha string) (full string, branches []string, exists bool) {
	for full, branches := range s.commits {
		if len(sha) >= 7 && strings.HasPrefix(full, sha) {
			return full, branches, true
		}
	}
	if s.config.Branches == nil {
		return "", nil, false
	}
	branches, exists = s.config.Branches(sha)
	return sha, branches, exists
}

func value(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
