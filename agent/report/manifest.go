// Package report takes a record and gives texts about it: a plan for people, the
// deployment manifest of a sync, for machines, and the report of its rollback, in
// Markdown. The same record gives the same bytes; the package reads nothing else.
package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/checks"
	"coin.internal/coin-agent/deploy"
)

// Node is the node of a record.
type Node struct {
	Environment string
	Name        string
}

// String gives the node as environment/name.
func (n Node) String() string { return n.Environment + "/" + n.Name }

// Manifest describes a sync for machines. The first nine fields are those of the manifest
// that the deployment pipeline wrote before the agent.
type Manifest struct {
	ReleaseTag  string    `json:"release_tag"`
	Environment string    `json:"environment"`
	TaskID      string    `json:"task_id"`
	DeployedBy  string    `json:"deployed_by"` // the commit's author; for a rollback by hand, the user
	DeployedAt  time.Time `json:"deployed_at"` // of the first write
	PipelineID  string    `json:"pipeline_id"`
	GitCommit   string    `json:"git_commit"`
	GitBranch   string    `json:"git_branch"` // or the selected tag
	Nodes       []string  `json:"nodes"`      // of the environment, in the order of config.yml

	Node         string         `json:"node"`
	Stack        string         `json:"stack"`
	Sync         uint64         `json:"sync"`
	Trigger      string         `json:"trigger"`
	Actor        audit.Actor    `json:"actor"`
	Author       string         `json:"author,omitempty"`
	Subject      string         `json:"subject,omitempty"`
	Outcome      record.State   `json:"outcome"`
	Unchanged    bool           `json:"unchanged,omitempty"`
	Touched      bool           `json:"touched"` // the sync wrote to the engine
	Summary      string         `json:"summary,omitempty"`
	FailedAt     string         `json:"failed_at,omitempty"` // the stage
	Faults       []record.Fault `json:"faults,omitempty"`
	Started      time.Time      `json:"started"`
	Finished     *time.Time     `json:"finished,omitempty"`
	Stages       []StageTime    `json:"stages"`
	AgentVersion string         `json:"agent_version"`

	PlanDigest string               `json:"plan_digest,omitempty"`
	Plan       *deploy.RecordedPlan `json:"plan,omitempty"` // what looks secret is ***
	Services   []Service            `json:"services"`
	Secrets    []record.Version     `json:"secrets"` // versions, by their names in Swarm
	Configs    []record.Version     `json:"configs"`
	Checks     []checks.Result      `json:"checks"`
	Gates      []record.Gate        `json:"gates"`
	Approval   *record.Approval     `json:"approval,omitempty"`
	Migration  *record.Migration    `json:"migration,omitempty"`
	Rollback   *record.Rollback     `json:"rollback,omitempty"`
	Warnings   []string             `json:"warnings"`
}

// StageTime is when a stage last began, and how long it took.
type StageTime struct {
	Stage   record.Stage `json:"stage"`
	Entered *time.Time   `json:"entered,omitempty"`
	Seconds float64      `json:"seconds"`
}

// Service is a service of the release, with its result.
type Service struct {
	Name    string        `json:"name"`
	Image   Image         `json:"image"`
	Before  *Image        `json:"before,omitempty"` // the image before the sync; the same as Image if it did not change
	Action  deploy.Action `json:"action,omitempty"` // of the plan; empty if the service did not change
	State   deploy.State  `json:"state,omitempty"`  // at the end of verify
	Ready   uint64        `json:"ready"`
	Want    uint64        `json:"want"`
	Error   string        `json:"error,omitempty"`
	Seconds float64       `json:"seconds,omitempty"`
}

// Image holds the parts of an image reference.
type Image struct {
	Name   string `json:"name"`
	Tag    string `json:"tag,omitempty"`
	Digest string `json:"digest,omitempty"`
}

// Short gives the image without its registry, folders and digest.
func (i Image) Short() string {
	if i.Tag == "" {
		return path.Base(i.Name)
	}
	return path.Base(i.Name) + ":" + i.Tag
}

// NewManifest gives the manifest of a sync of a node.
func NewManifest(node Node, sync *record.Sync) (*Manifest, error) {
	read, err := recordOf(sync)
	if err != nil {
		return nil, err
	}
	digest := sync.PlanDigest
	if by := sync.Rollback; by != nil && sync.IsRollback() { // such a sync has only a rollback
		digest, read.Plan, read.Services, read.Checks = by.PlanDigest, read.BackPlan, read.Restored, read.Asked
	}
	deployment := sync.Deployment
	if deployment == nil {
		deployment = &record.Deployment{} // the sync ended before it made a plan
	}
	m := &Manifest{
		ReleaseTag: sync.Release, Environment: node.Environment, TaskID: deployment.TaskID, DeployedBy: deployedBy(sync),
		DeployedAt: sync.Deployed().UTC(), PipelineID: deployment.PipelineID, GitCommit: sync.Commit, GitBranch: sync.Ref, Nodes: orEmpty(deployment.Nodes),
		Node: node.Name, Stack: sync.Stack, Sync: sync.ID, Trigger: string(sync.Trigger), Actor: sync.Actor, Author: audit.AuthorName(sync.Author), Subject: sync.Subject,
		Outcome: sync.State, Unchanged: sync.Unchanged, Touched: sync.Wrote, Summary: sync.Summary, Faults: sync.All(),
		Started: sync.Started.UTC(), Stages: stageTimes(sync), AgentVersion: deployment.Agent,
		PlanDigest: digest, Plan: read.Plan, Services: servicesOf(deployment, read),
		Secrets: orEmpty(deployment.Secrets), Configs: orEmpty(deployment.Configs), Checks: orEmpty(read.Checks),
		Gates: orEmpty(sync.Gates), Approval: sync.Approval, Migration: sync.Migration, Rollback: sync.Rollback, Warnings: orEmpty(sync.Warnings),
	}
	if sync.Error != "" {
		m.FailedAt = string(sync.FailedAt())
	}
	if !sync.Finished.IsZero() {
		finished := sync.Finished.UTC()
		m.Finished = &finished
	}
	return m, nil
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// deployedBy names the person who is responsible for the release.
func deployedBy(sync *record.Sync) string {
	if sync.IsRollback() || sync.Author == "" {
		return sync.Actor.String()
	}
	return audit.AuthorName(sync.Author)
}

// contents holds the JSON parts of a sync's record, decoded.
type contents struct {
	Plan     *deploy.RecordedPlan
	Services []deploy.ServiceResult
	Checks   []checks.Result

	BackPlan *deploy.RecordedPlan // of the rollback
	Restored []deploy.ServiceResult
	Asked    []checks.Result // after the rollback
}

// part is one JSON part of a record.
type part struct {
	name string
	data json.RawMessage
	into any
}

func recordOf(sync *record.Sync) (*contents, error) {
	read := &contents{}
	parts := []part{{"plan", sync.Plan, &read.Plan}, {"services", sync.Services, &read.Services}, {"checks", sync.Checks, &read.Checks}}
	if back := sync.Rollback; back != nil {
		parts = append(parts, part{"rollback's plan", back.Plan, &read.BackPlan},
			part{"rollback's services", back.ServicesOf, &read.Restored}, part{"rollback's checks", back.Checks, &read.Asked})
	}
	for _, part := range parts {
		if len(part.data) == 0 {
			continue
		}
		if err := json.Unmarshal(part.data, part.into); err != nil {
			return nil, fmt.Errorf("read the %s of sync #%d: %w", part.name, sync.ID, err)
		}
	}
	return read, nil
}

// stageOrder is the order in which a manifest lists the stages.
var stageOrder = []record.Stage{
	record.StageSelect, record.StageSigners, record.StageFetch, record.StageLoad, record.StageDecrypt, record.StageRender,
	record.StagePolicy, record.StagePlan, record.StageGate, record.StageApply, record.StageVerify, record.StageRollback, record.StageGuard,
}

func stageTimes(sync *record.Sync) []StageTime {
	list := []StageTime{}
	for _, stage := range stageOrder {
		seconds, ended := sync.Seconds[stage]
		at, entered := sync.Entered[stage]
		if !ended && !entered {
			continue
		}
		one := StageTime{Stage: stage, Seconds: seconds}
		if entered {
			at = at.UTC()
			one.Entered = &at
		}
		list = append(list, one)
	}
	return list
}

func servicesOf(deployment *record.Deployment, read *contents) []Service {
	actions := map[string]deploy.Action{}
	if read.Plan != nil {
		for _, step := range read.Plan.Steps {
			if step.Kind == deploy.Service && step.Action != deploy.ScaleDown {
				actions[step.Name] = step.Action
			}
		}
	}
	results := map[string]deploy.ServiceResult{}
	for _, result := range read.Services {
		results[result.Name] = result
	}
	list := make([]Service, 0, len(deployment.Services))
	for _, image := range deployment.Services {
		result := results[image.Service]
		one := Service{
			Name: image.Service, Image: partsOf(image.Image), Action: actions[image.Service],
			State: result.State, Ready: result.Ready, Want: result.Want, Error: result.Error, Seconds: result.Seconds,
		}
		if !image.New {
			before := partsOf(cmp.Or(image.Before, image.Image))
			one.Before = &before
		}
		list = append(list, one)
	}
	return list
}

// partsOf gives the parts of an image reference.
func partsOf(reference string) Image {
	name, digest, _ := strings.Cut(reference, "@")
	parts := Image{Name: name, Digest: digest}
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		parts.Name, parts.Tag = name[:i], name[i+1:]
	}
	return parts
}
