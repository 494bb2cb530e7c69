from setuptools import find_packages, setup

setup(
  name='trilemma',
  version='0.1.0',
  description='Generative models in JAX: diffusion, Bayesian flows and GANs by one protocol.',
  python_requires='>=3.11',
  package_data={'trilemma': ['weights/*', 'report.html.j2']},
  packages=find_packages(include=['trilemma*', 'ddpm*', 'vdm*', 'bfn*', 'gan*', 'cold*']),
  install_requires=[
    'jax>=0.10',
    'flax>=0.12',
    'optax>=0.2.8',
    'orbax-checkpoint>=0.12',
    'ml-collections>=1.1',
    'clu>=0.0.12',
    'tensorflow-datasets>=4.9.10',
    'importlib_resources>=6',  # tensorflow-datasets needs it and does not declare it
    'tensorboard>=2.20',  # clu's writers need it and do not declare it
    'tensorflow-cpu>=2.21; platform_machine == "x86_64"',
    'array_record>=0.8',
    'jinja2>=3.1',
    'absl-py>=2.1',
    'matplotlib>=3.9',
    'numpy>=2.0',
    'pillow>=11',
    'scikit-learn>=1.6',
    'scipy>=1.14',
    'tqdm>=4.66',
  ],
  extras_require={'dev': ['pytest>=8', 'pytest-xdist>=3.6', 'ruff>=0.12', 'selenium>=4.30']},
)
