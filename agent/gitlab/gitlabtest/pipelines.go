package gitlabtest

import (
	"slices"
	"time"
)

// pipeline finds the newest pipeline of a commit and ref, or the one that is
// named; an empty ref means any.
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

// StartPipeline starts a CI pipeline with jobs, as a push or a person does, and
// gives its ID. From then on it is the newest of the commit and ref.
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
			p.sha = "" // IDs are not given twice
		}
	}
	for _, status := range s.statuses {
		if status.PipelineID == id {
			status.PipelineID, status.SHA = 0, ""
		}
	}
}

// FillPipeline lets a pipeline reach the limit of its jobs.
func (s *Server) FillPipeline(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.pipelines {
		p.full = p.full || p.id == id
	}
}

// CancelPipeline cancels what is open in a pipeline, as a person can in the
// browser.
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

// Timeline is what happened on a commit.
type Timeline struct {
	Posts   []Post   // those that took effect, in order
	Entries []Status // all there are, retried ones too, by ID; without CI jobs
}

// Statuses gives the timeline of a commit, by its full hash.
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
