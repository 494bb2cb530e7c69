"""DDPM's noise schedules against published and closed-form values."""

import numpy as np
import pytest

from ddpm.schedule import gamma_table, reverse_log_variance, spaced
from trilemma.exits import UserError


def abar(table):
  return 1 / (1 + np.exp(table[1:]))


def test_linear_table():
  values = abar(gamma_table('linear', 1000))
  expected = [0.9999, 0.99978009207, 0.89701814567, 0.078587242882, 4.0358297654e-5]
  np.testing.assert_allclose(values[[0, 1, 99, 499, 999]], expected, rtol=1e-10)


def test_cosine_table():
  table = gamma_table('cosine', 1000)
  np.testing.assert_allclose(abar(table)[[500, 998]], [0.4922851724, 2.4287669e-6], rtol=1e-7)
  log_beta = reverse_log_variance(table, 'learned')[1][1:]
  expected = [4.1284225e-5, 3.1556914e-3, 0.7499993929, 0.999]
  np.testing.assert_allclose(np.exp(log_beta)[[0, 500, 998, 999]], expected, rtol=1e-6)


@pytest.mark.parametrize(('steps', 'last'), [(20, 0.817), (100, 0.364), (500, 6.4e-3)])
def test_short_linear_schedules_do_not_reach_noise_unless_rescaled(steps, last):
  assert abar(gamma_table('linear', steps))[-1] == pytest.approx(last, rel=1e-2)
  if steps >= 100:
    assert abar(gamma_table('linear', steps, rescale=True))[-1] < 5e-5


@pytest.mark.parametrize('steps', [10, 20])
def test_rescaled_betas_that_reach_one_are_refused(steps):
  with pytest.raises(UserError, match='rescale_betas=False'):
    gamma_table('linear', steps, rescale=True)


def test_unknown_names_list_the_choices():
  with pytest.raises(UserError, match='cosine, linear'):
    gamma_table('quadratic', 10)
  with pytest.raises(UserError, match='fixed_large, fixed_small, learned'):
    reverse_log_variance(gamma_table('linear', 10), 'large')


def test_reverse_variances_are_beta_and_the_posteriors():
  betas = np.linspace(1e-4, 0.02, 1000)
  alpha_bar = np.cumprod(1 - betas)
  posterior = betas[1:] * (1 - alpha_bar[:-1]) / (1 - alpha_bar[1:])
  table = gamma_table('linear', 1000)
  small, large = (np.exp(reverse_log_variance(table, f'fixed_{k}')[0]) for k in ('small', 'large'))
  np.testing.assert_allclose(small[2:], posterior, rtol=1e-9)
  np.testing.assert_allclose(large[2:], betas[1:], rtol=1e-9)
  assert small[1] == small[2] == large[1] == pytest.approx(5.4531877e-5)


def test_a_learned_variance_lies_between_the_posteriors_and_beta():
  betas = np.linspace(1e-4, 0.02, 1000)
  table = gamma_table('linear', 1000)
  lower, upper = reverse_log_variance(table, 'learned')
  np.testing.assert_array_equal(lower, reverse_log_variance(table, 'fixed_small')[0])
  np.testing.assert_allclose(np.exp(upper[1:]), betas, rtol=1e-9)
  for kind in ('fixed_small', 'fixed_large'):
    np.testing.assert_array_equal(*reverse_log_variance(table, kind))


@pytest.mark.parametrize('spacing', ['t', 'gamma'])
@pytest.mark.parametrize('schedule', ['linear', 'cosine'])
def test_spaced_positions_rise_from_1_to_T(spacing, schedule):
  table = gamma_table(schedule, 200)
  np.testing.assert_array_equal(spaced(table, 200, spacing), np.arange(1, 201))
  for count in range(2, 201):
    positions = spaced(table, count, spacing)
    assert positions[0] == 1 and positions[-1] == 200 and (np.diff(positions) > 0).all()
    assert len(positions) == count
  assert list(spaced(table, 1, 't')) == [200]


def test_positions_are_even_in_t_or_in_gamma():
  table = gamma_table('linear', 1000)
  np.testing.assert_array_equal(spaced(table, 10) - 1, np.linspace(0, 999, 10).round())
  gammas = table[spaced(table, 10, 'gamma')]
  np.testing.assert_allclose(np.diff(gammas), (table[-1] - table[1]) / 9, rtol=0.15)


def test_gaps_of_the_table_are_one_step_and_the_others_share_the_rest():
  """The clipped end of the cosine schedule falls by 6.9 in one of its own steps."""
  table = gamma_table('cosine', 500)
  positions = spaced(table, 20, 'gamma')
  assert list(positions[-2:]) == [499, 500]
  inner = np.diff(table[positions[:-1]])[2:]  # the first steps of the table are wide, too
  assert inner.max() < 2 * inner.min()
