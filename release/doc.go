// Package release moves releases between the files of a repository's environments. Input: a
// working copy, and what GitLab says of it. Output: what changes, as files for a proposal. Its
// guarantee: no secret, no version of one and no value that belongs to an environment moves.
package release
