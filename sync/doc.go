// Package sync follows a git repository: a Remote and a Rule go in, a Checkout
// of the selected Revision comes out, in memory.
//
// Select asks for the refs and nothing else. Fetch brings one commit's trees and
// the blobs under the paths that are wanted at once; the rest comes when it is
// read. A Checkout writes what was read of it down as Inputs, so that another
// one can say, without any blob, whether the same reads would give the same.
//
// Everything that goes over the network ends: with its context, or when the
// connection has been silent for Remote.Timeout. No error holds a credential.
package sync
