// Package sync follows a git repository: from a Remote and a Rule it makes a Checkout of
// the selected Revision in memory.
//
// Select requests only the refs that the rule follows, where the server speaks version 2 of git's
// protocol, and else all. Fetch requests one commit's trees and the blobs in the
// prefetch paths. Other blobs are requested when they are read. A Checkout records its
// reads as Inputs, so that another Checkout can report, without blobs, whether the same
// reads would give the same results.
//
// Every network operation ends with its context, or after Remote.Timeout without
// traffic. Errors do not contain credentials.
package sync
