package gitlabtest

import (
	"slices"
	"time"
)

// pipeline finds the newest pipeline of a commit and ref, or the one with the ID. An empty
// ref means any.
func (s *Server) pipeline(sha, ref string, id int64) *pipeline {
	for _, p := range slices.Backward(s.pipelines) {
		if p.sha == sha && (ref == "" || p.ref == ref) && (id == 0 || p.id == id) {
			return p
		}
	}
	return nil
}

func (s *Server) addPipeline(sha, ref, source string) *pipeline {
	id := int64(1001)
	if n := len(s.pipelines); n > 0 {
		id = s.pipelines[n-1].id + 1
	}
	p := &pipeline{id: id, sha: sha, ref: ref, source: source}
	s.pipelines = append(s.pipelines, p)
	return p
}

// StartPipeline starts a CI pipeline with jobs, as a push or a user does, and returns its
// ID. It is the newest of the commit and ref from then on.
func (s *Server) StartPipeline(sha, ref string, jobs ...string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.addPipeline(sha, ref, "push")
	for _, job := range jobs {
		s.statuses = append(s.statuses, &Status{
			ID: 5001 + int64(len(s.statuses)), SHA: sha, Ref: ref, Status: "running", Name: job, PipelineID: p.id,
			CreatedAt: time.Now().UTC(), Author: Author{ID: 1, Username: "root", Name: "root", State: "active"}, job: true,
		})
	}
	return p.id
}

// DeletePipeline removes a pipeline and its entries, as an owner can.
func (s *Server) DeletePipeline(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.pipelines {
		if p.id == id {
			p.sha = "" // IDs are not reused
		}
	}
	for _, status := range s.statuses {
		if status.PipelineID == id {
			status.PipelineID, status.SHA = 0, ""
		}
	}
}

// FillPipeline fills a pipeline with the maximum number of jobs.
func (s *Server) FillPipeline(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.pipelines {
		p.full = p.full || p.id == id
	}
}

// CancelPipeline cancels the unfinished entries of a pipeline, as a user can in the browser.
func (s *Server) CancelPipeline(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now().UTC()
	for _, status := range s.statuses {
		if status.PipelineID == id && (status.Status == "pending" || status.Status == "running") {
			status.Status, status.FinishedAt = "canceled", &now
		}
	}
}

// Timeline has the posts and entries of a commit.
type Timeline struct {
	Posts   []Post   // those that took effect, in order
	Entries []Status // all entries, including retried ones, by ID; without CI jobs
}

// Statuses returns the timeline of a commit, given by its full hash.
func (s *Server) Statuses(sha string) Timeline {
	s.mu.Lock()
	defer s.mu.Unlock()
	var timeline Timeline
	for _, post := range s.posts {
		if post.SHA == sha {
			timeline.Posts = append(timeline.Posts, post)
		}
	}
	for _, status := range s.statuses {
		if status.SHA == sha && !status.job {
			timeline.Entries = append(timeline.Entries, *status)
		}
	}
	return timeline
}
