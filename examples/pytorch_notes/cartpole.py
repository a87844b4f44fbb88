"""REINFORCE on CartPole: a policy that samples its actions, rewarded until it balances the pole.

PyTorch: Categorical(probs).sample() and .log_prob(action), the loss -log_prob * return. Here the same, in functions:
the gradient of the log probabilities of the actions that were taken, weighted with the returns that followed
(Williams, 1992). CartPole-v1 counts as solved at a mean reward of 475 over 100 episodes: here after
585 episodes, in less than half a minute.
"""

import argparse

import gymnasium
import numpy as np

import funcgrad as fg
from funcgrad import distributions, nn, optim, random

DISCOUNT = np.float32(0.99)
STEPS = 500  # of the longest episode
SOLVED = 475.0


def log_probabilities(policy, states, actions):
    """Of each action (steps,) in its state (steps, 4)."""
    return distributions.Categorical(logits=policy(states)).log_prob(actions)


@fg.jit
def act(policy, state, key):
    """A random action by the policy."""
    return distributions.Categorical(logits=policy(state)).sample(key)


def play(environment, policy, key, seed):
    """One episode: states (steps, 4) and actions (steps,). Every step of it was rewarded with 1."""
    state, _ = environment.reset(seed=seed)
    states, actions = [], []
    for step_key in random.split(key, STEPS):
        action = int(act(policy, state, step_key))
        states.append(state)
        actions.append(action)
        state, _, failed, ended, _ = environment.step(action)
        if failed or ended:
            break
    return np.array(states), np.array(actions)


def returns_of(length):
    """The discounted sum of the rewards that follow each step."""
    return (1 - DISCOUNT ** np.arange(length, 0, -1, dtype=np.float32)) / (1 - DISCOUNT)


def make_update(optimizer):
    """A step of policy gradient on several episodes in one batch of fixed length, compiled once."""

    def loss(policy, states, actions, weights):
        return -np.sum(weights * log_probabilities(policy, states, actions))

    @fg.jit
    def update(policy, state, states, actions, weights):
        gradient = fg.grad(loss)(policy, states, actions, weights)
        updates, state = optimizer.update(gradient, state, policy)
        return optim.apply_updates(policy, updates), state

    return update


def batch_of(episodes):
    """Episodes one after the other, filled up with steps of weight 0."""
    size = STEPS * len(episodes)
    states, actions = np.zeros((size, 4), np.float32), np.zeros(size, np.int64)
    weights = np.zeros(size, np.float32)
    count = sum(len(a) for _, a in episodes)
    returns = np.concatenate([returns_of(len(a)) for _, a in episodes])
    states[:count] = np.concatenate([s for s, _ in episodes])
    actions[:count] = np.concatenate([a for _, a in episodes])
    weights[:count] = (returns - returns.mean()) / (returns.std() + 1e-6) / count
    return states, actions, weights


def train(seed=0, limit=1500, together=5, report=print):
    """Play and learn until the last 100 episodes are long enough: the policy and their lengths."""
    environment = gymnasium.make("CartPole-v1")
    policy_key, key = random.split(random.key(seed))
    policy = nn.MLP(4, 2, width_size=64, depth=1, activation=np.tanh, key=policy_key)
    optimizer = optim.adam(1e-2)
    state, update = optimizer.init(policy), make_update(optimizer)
    lengths = []
    while len(lengths) < limit:
        episodes = []
        for _ in range(together):
            number = len(lengths)
            episodes.append(
                play(environment, policy, random.fold_in(key, number), seed * limit + number)
            )
            lengths.append(len(episodes[-1][1]))
        policy, state = update(policy, state, *batch_of(episodes))
        mean = float(np.mean(lengths[-100:]))
        if len(lengths) % 50 == 0:
            report(f"episode {len(lengths):4}   mean length of the last 100: {mean:.1f}")
        if len(lengths) >= 100 and mean >= SOLVED:
            report(f"solved after {len(lengths)} episodes: {mean:.1f}")
            break
    return policy, lengths


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    train(parser.parse_args().seed)
