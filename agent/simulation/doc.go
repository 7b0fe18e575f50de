// Package simulation has no code of its own: its tests run the real agent (loop, rollout,
// outbox, state file, audit log) against a simulated world (git, engine, GitLab, clock)
// from a seed, kill it at any side effect, and check each end state by an oracle that
// shares no code with the agent.
package simulation
